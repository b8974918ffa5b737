"""Kubernetes manifests (kustomize), and what makes their Secrets."""
