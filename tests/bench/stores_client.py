"""Fetches an object with boto3's own parallel transfer, and prints the seconds; its own process."""

import sys
import time

import boto3  # type: ignore[import-not-found]

address, region, user, password, bucket, key, target = sys.argv[1:]
client = boto3.client(
    "s3",
    endpoint_url=address,
    region_name=region,
    aws_access_key_id=user,
    aws_secret_access_key=password,
)
start = time.monotonic()
client.download_file(bucket, key, target)
print(time.monotonic() - start)
