"""``kubectl slipway``: people's and scripts' way to rollouts. It talks through kubectl alone.

kubectl brings kubeconfig, credentials and proxies. Nothing heavy is imported here: not the API
types either, because pydantic alone would cost more than the whole start may.
"""
