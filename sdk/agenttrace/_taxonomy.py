"""The closed lists. Generated from `model/src/taxonomy.rs` by `generate_taxonomy.py`: do not edit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

RUN_STATUSES: Final[tuple[str, ...]] = (
    "success",
    "failure",
    "partial",
)

STEP_TYPES: Final[tuple[str, ...]] = (
    "plan",
    "retrieve",
    "tool",
    "respond",
    "other",
)

STEP_STATUSES: Final[tuple[str, ...]] = (
    "ok",
    "failed",
    "unknown",
)

FAILURE_TYPES: Final[tuple[str, ...]] = (
    "tool",
    "model",
    "retrieval",
    "orchestration",
)

REASON_CODES: Final[Mapping[str, tuple[str, ...]]] = {
    "tool_selection": (
        "fresh_data_required",
        "cached_data_sufficient",
        "tool_unavailable",
        "cost_optimization",
        "latency_optimization",
        "accuracy_required",
    ),
    "retrieval_strategy": (
        "semantic_search_preferred",
        "keyword_match_sufficient",
        "hybrid_approach_needed",
        "filter_applied",
        "rerank_required",
    ),
    "response_mode": (
        "streaming_requested",
        "batch_preferred",
        "format_constraint",
        "length_constraint",
    ),
    "retry_strategy": (
        "transient_error_detected",
        "rate_limit_encountered",
        "no_retry_terminal_error",
        "retry_budget_exhausted",
        "backoff_required",
    ),
    "orchestration_path": (
        "sequential_required",
        "parallel_preferred",
        "conditional_branch",
        "early_exit",
        "fallback_path",
    ),
}

SIGNAL_CODES: Final[Mapping[str, tuple[str, ...]]] = {
    "schema_valid": (
        "full_match",
        "partial_match",
        "validation_failed",
        "no_schema_defined",
    ),
    "empty_retrieval": (
        "no_results",
        "filtered_out",
        "index_empty",
    ),
    "tool_success": (
        "first_attempt",
        "after_retry",
        "fallback_used",
    ),
    "tool_failure": (
        "timeout",
        "invalid_input",
        "unavailable",
        "rate_limited",
        "authentication_failed",
    ),
    "retry_occurred": (
        "single_retry",
        "multiple_retries",
        "max_retries_reached",
    ),
    "latency_threshold": (
        "under_threshold",
        "exceeded_threshold",
        "significantly_exceeded",
    ),
    "token_usage": (
        "low_usage",
        "moderate_usage",
        "high_usage",
        "limit_approached",
    ),
}

FAILURE_CODES: Final[tuple[str, ...]] = (
    "timeout",
    "rate_limited",
    "auth_failed",
    "permission_denied",
    "quota_exceeded",
    "provider_unavailable",
    "connection_error",
    "invalid_request",
    "schema_invalid",
    "context_overflow",
    "output_truncated",
    "content_filtered",
    "tool_not_found",
    "tool_error",
    "empty_retrieval",
    "low_relevance",
    "retrieval_error",
    "max_iterations",
    "loop_detected",
    "handoff_failed",
    "sub_agent_failed",
    "guardrail_blocked",
    "approval_denied",
    "cancelled",
    "abandoned",
    "uncaught_exception",
    "unknown",
)

METADATA_KEYS: Final[tuple[str, ...]] = (
    "model",
    "provider",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "http_status",
    "result_count",
    "attempt",
)
