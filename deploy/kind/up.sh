#!/usr/bin/env bash
# A kind cluster with this controller and an emulated AWS in it: images, cluster, chart, in one go. Again: as new.
# Instances of the emulator do not become nodes here; the tests make their own (KUBECONFIG_UNDER_TEST, docs/testing.md).
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PWD/.venv/bin:$PATH"
name=${KIND_CLUSTER:-priority-autoscaler}

for tool in docker kind kubectl helm; do
    command -v "$tool" >/dev/null || { echo "make kind: $tool is needed and was not found" >&2; exit 1; }
done
docker info >/dev/null 2>&1 || { echo "make kind: docker does not answer; is it running, and may you use it?" >&2; exit 1; }

digest=$(docker buildx imagetools inspect python:3.11-slim --format '{{.Manifest.Digest}}')
docker build --tag priority-autoscaler:kind --build-arg "PYTHON_DIGEST=$digest" .
docker build --tag priority-autoscaler-emulator:kind --file deploy/kind/Dockerfile .

kind get clusters | grep -qx "$name" || kind create cluster --name "$name" --config deploy/kind/cluster.yaml
kind load docker-image --name "$name" priority-autoscaler:kind priority-autoscaler-emulator:kind

kubectl() { command kubectl --context "kind-$name" --namespace kube-system "$@"; }
kubectl apply --filename deploy/kind/emulator.yaml
kubectl rollout restart deployment/aws-emulator
kubectl rollout status deployment/aws-emulator --timeout=120s
for market in spot on-demand; do
    kubectl exec deployment/aws-emulator -- python -c "
import json, urllib.request
tags = {'k8s.io/cluster-autoscaler/enabled': 'true', 'k8s.io/cluster-autoscaler/kind': 'owned'}
body = {'name': '$market-a', 'market': '$market', 'instance_types': ['m5.xlarge'], 'tags': tags}
urllib.request.urlopen('http://127.0.0.1:5000/emu/groups', json.dumps(body).encode())"
done

helm upgrade --install priority-autoscaler deploy/chart --kube-context "kind-$name" --namespace kube-system \
    --values deploy/kind/values.yaml --wait --timeout 180s
file=$(mktemp)
kind get kubeconfig --name "$name" >"$file"
echo "It runs: kubectl --context kind-$name --namespace kube-system logs deployment/priority-autoscaler"
echo "The tests on it: KUBECONFIG_UNDER_TEST=$file make test ARGS=tests/controlplane"
echo "The end-to-end tests on it: KUBECONFIG_UNDER_TEST=$file make e2e"
echo "Its end: kind delete cluster --name $name"
