# A policy for the controller, and a role that EKS Pod Identity or IRSA can give to its pods.

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.30"
    }
  }
}

variable "cluster_name" {
  description = "Name of the cluster, as in the tag k8s.io/cluster-autoscaler/NAME of its groups."
  type        = string
}

variable "namespace" {
  description = "Namespace of the release."
  type        = string
  default     = "kube-system"
}

variable "service_account" {
  description = "Name of the chart's ServiceAccount."
  type        = string
  default     = "priority-autoscaler"
}

variable "oidc_provider_arn" {
  description = "For IRSA: ARN of the cluster's OIDC provider. Empty: the role trusts EKS Pod Identity."
  type        = string
  default     = ""
}

locals {
  irsa   = var.oidc_provider_arn != ""
  issuer = local.irsa ? split("oidc-provider/", var.oidc_provider_arn)[1] : ""
}

data "aws_iam_policy_document" "trust" {
  dynamic "statement" {
    for_each = local.irsa ? [] : [1]
    content {
      actions = ["sts:AssumeRole", "sts:TagSession"]
      principals {
        type        = "Service"
        identifiers = ["pods.eks.amazonaws.com"]
      }
    }
  }

  dynamic "statement" {
    for_each = local.irsa ? [1] : []
    content {
      actions = ["sts:AssumeRoleWithWebIdentity"]
      principals {
        type        = "Federated"
        identifiers = [var.oidc_provider_arn]
      }
      condition {
        test     = "StringEquals"
        variable = "${local.issuer}:sub"
        values   = ["system:serviceaccount:${var.namespace}:${var.service_account}"]
      }
      condition {
        test     = "StringEquals"
        variable = "${local.issuer}:aud"
        values   = ["sts.amazonaws.com"]
      }
    }
  }
}

resource "aws_iam_policy" "this" {
  name_prefix = "priority-autoscaler-${var.cluster_name}-"
  policy      = templatefile("${path.module}/policy.json", { cluster_name = var.cluster_name })
}

resource "aws_iam_role" "this" {
  name_prefix        = "priority-autoscaler-"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy_attachment" "this" {
  role       = aws_iam_role.this.name
  policy_arn = aws_iam_policy.this.arn
}

resource "aws_eks_pod_identity_association" "this" {
  count           = local.irsa ? 0 : 1
  cluster_name    = var.cluster_name
  namespace       = var.namespace
  service_account = var.service_account
  role_arn        = aws_iam_role.this.arn
}

output "role_arn" {
  description = "For IRSA: the annotation eks.amazonaws.com/role-arn of rbac.serviceAccount.annotations."
  value       = aws_iam_role.this.arn
}
