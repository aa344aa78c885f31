"""The rules of those who are used today, written anew from their sources and fed without delay.

Sources: Flagger `15bd6ad` (pkg/controller/scheduler.go, pkg/metrics/providers/prometheus.go), Argo
Rollouts `9f8d111` (analysis/analysis.go, utils/evaluate/evaluate.go, docs/features/analysis.md),
Kayenta `a69573b` (NetflixACAJudge, MannWhitneyClassifier, MannWhitney, WeightedSumScorer).
Counters reach them whole: no scrape interval, no extrapolation, no lost first samples. That
flatters them a little.
"""
