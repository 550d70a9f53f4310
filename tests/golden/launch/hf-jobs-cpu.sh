#!/bin/sh
set -eu
exec hf jobs run --detach --name support-tickets-20261128-120000 --flavor cpu-upgrade --timeout 9000s --attempts 3 --volume hf://buckets/me/my-bucket:/provetune:rw registry.example/provetune:gpu python -m provetune.launching.job -C /provetune/support-tickets run
