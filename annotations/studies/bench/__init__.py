"""The app under load: simulated raters over HTTP, and a count of what they left in the database."""

from annotations.studies.bench.audit import Audit, audit
from annotations.studies.bench.crowd import Crowd
from annotations.studies.bench.run import BenchResult, Load, bench_study, lines

__all__ = ["Audit", "BenchResult", "Crowd", "Load", "audit", "bench_study", "lines"]
