"""The closed lists and the privacy lists. Made from `model` by `generate_taxonomy.py`: do not edit."""

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

CONTENT_KEYS: Final[tuple[str, ...]] = (
    "prompt",
    "response",
    "output",
    "input",
    "content",
    "text",
    "message",
)

THOUGHT_KEYS: Final[tuple[str, ...]] = (
    "reasoning",
    "thought",
    "chain_of_thought",
    "explanation",
    "rationale",
)

PRIVATE_KEYS: Final[tuple[str, ...]] = (
    "query",
    "question",
    "answer",
    "body",
    "document",
    "documents",
    "page_content",
    "messages",
    "instructions",
    "arguments",
    "result",
    "completion",
    "transcript",
    "email",
    "phone",
    "ssn",
    "authorization",
    "cookie",
    "client_ip",
    "password",
    "passwd",
    "api_key",
    "apikey",
    "api-key",
    "x-api-key",
    "token",
    "secret",
    "access_token",
    "auth_token",
    "bearer_token",
    "id_token",
    "refresh_token",
    "session_token",
    "private_key",
)

PRIVATE_KEY_ENDS: Final[tuple[str, ...]] = (
    "_prompt",
    "_input",
    "_output",
    "_query",
    "_answer",
    "_completion",
    "_password",
    "_passwd",
    "_api_key",
    "_secret",
)

SECRET_PREFIXES: Final[tuple[tuple[str, int], ...]] = (
    ("sk-", 20),
    ("pk-", 20),
    ("rk-", 20),
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("rk_live_", 16),
    ("rk_test_", 16),
    ("pk_live_", 16),
    ("ghp_", 30),
    ("gho_", 30),
    ("ghu_", 30),
    ("ghs_", 30),
    ("ghr_", 30),
    ("github_pat_", 30),
    ("glpat-", 20),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("AIza", 35),
    ("AKIA", 16),
    ("ASIA", 16),
    ("hf_", 30),
)

NO_SECRETS: Final[tuple[str, ...]] = (
    "null",
    "true",
    "false",
    "missing",
    "invalid",
    "expired",
    "none",
    "undefined",
    "unknown",
    "empty",
    "required",
    "expected",
    "unexpected",
    "malformed",
    "revoked",
    "denied",
    "rejected",
    "unauthorized",
    "forbidden",
    "redacted",
    "[redacted]",
    "[secret]",
)
