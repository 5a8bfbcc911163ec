//! The closed lists: the only place where they stand. The OpenAPI document, the SDK and the dashboard are generated
//! from this table or tested against it.
//!
//! A `tag` is what the log stores. Tags are never reused and never change; new rows go to the end with a new tag.

use std::fmt;

use serde::{Serialize, Serializer};

/// Declares a closed list: an enum, its wire names and its stored tags.
macro_rules! closed_list {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $tag:literal, $text:literal;)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every value, in the order of the contract.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The value with this wire name.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }

            /// The number that the log stores.
            pub const fn tag(self) -> u8 {
                match self { $(Self::$variant => $tag,)+ }
            }

            /// The value that the log stored under this number.
            pub const fn from_tag(tag: u8) -> Option<Self> {
                match tag { $($tag => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                let about = concat!($($doc),*).trim();
                crate::openapi::schema::one_of([$($text,)+]).description(Some(about)).into()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                std::borrow::Cow::Borrowed(stringify!($name))
            }
        }
    };
}

closed_list! {
    /// How a run stands.
    RunStatus {
        /// It did what it was to do.
        Success = 1, "success";
        /// It did not.
        Failure = 2, "failure";
        /// It did some of it.
        Partial = 3, "partial";
        /// It has not ended: only a live run is in this state, no client can send it.
        Running = 4, "running";
    }
}

closed_list! {
    /// What kind of work a step is.
    StepType {
        /// Deciding what to do.
        Plan = 1, "plan";
        /// Fetching knowledge.
        Retrieve = 2, "retrieve";
        /// Calling a tool.
        Tool = 3, "tool";
        /// Producing the answer.
        Respond = 4, "respond";
        /// Anything else.
        Other = 5, "other";
    }
}

closed_list! {
    /// Whether a step did what it was to do.
    StepStatus {
        /// It did.
        Ok = 1, "ok";
        /// It did not.
        Failed = 2, "failed";
        /// The client did not say.
        Unknown = 3, "unknown";
    }
}

closed_list! {
    /// The part of the agent that failed.
    FailureType {
        /// A tool.
        Tool = 1, "tool";
        /// The model.
        Model = 2, "model";
        /// Retrieval.
        Retrieval = 3, "retrieval";
        /// What holds the parts together.
        Orchestration = 4, "orchestration";
    }
}

closed_list! {
    /// What a decision is about.
    DecisionType {
        /// Which tool to call.
        ToolSelection = 1, "tool_selection";
        /// How to search.
        RetrievalStrategy = 2, "retrieval_strategy";
        /// How to answer.
        ResponseMode = 3, "response_mode";
        /// Whether to try again.
        RetryStrategy = 4, "retry_strategy";
        /// Which way to go on.
        OrchestrationPath = 5, "orchestration_path";
    }
}

closed_list! {
    /// What a quality signal observes.
    SignalType {
        /// Output against a schema.
        SchemaValid = 1, "schema_valid";
        /// Retrieval that found nothing.
        EmptyRetrieval = 2, "empty_retrieval";
        /// A tool that worked.
        ToolSuccess = 3, "tool_success";
        /// A tool that did not.
        ToolFailure = 4, "tool_failure";
        /// A retry.
        RetryOccurred = 5, "retry_occurred";
        /// Latency against a threshold.
        LatencyThreshold = 6, "latency_threshold";
        /// Tokens used.
        TokenUsage = 7, "token_usage";
    }
}

closed_list! {
    /// How a signal is shown. It marks, it does not judge.
    Tone {
        /// Worth a look.
        Attention = 1, "attention";
        /// Nothing special.
        Plain = 2, "plain";
    }
}

closed_list! {
    /// What a key may do.
    Scope {
        /// Send runs and events.
        Ingest = 1, "ingest";
        /// Ask.
        Query = 2, "query";
        /// Erase runs.
        Erase = 3, "erase";
        /// Manage keys, and everything else.
        Admin = 4, "admin";
    }
}

/// A reason code together with the decision type it belongs to: one row of [`REASON_CODES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReasonCode(&'static ReasonRow);

/// One row of the table of reasons.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ReasonRow {
    /// What the log stores.
    pub tag: u16,
    /// The decision type.
    pub decision_type: DecisionType,
    /// The code on the wire.
    pub code: &'static str,
}

/// A signal code together with the signal type it belongs to: one row of [`SIGNAL_CODES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignalCode(&'static SignalRow);

/// One row of the table of signals.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SignalRow {
    /// What the log stores.
    pub tag: u16,
    /// The signal type.
    pub signal_type: SignalType,
    /// The code on the wire.
    pub code: &'static str,
    /// Its tone when the value is true; a false value turns it.
    pub tone: Tone,
}

const fn reason(tag: u16, decision_type: DecisionType, code: &'static str) -> ReasonRow {
    ReasonRow { tag, decision_type, code }
}

const fn signal(tag: u16, signal_type: SignalType, code: &'static str, tone: Tone) -> SignalRow {
    SignalRow { tag, signal_type, code, tone }
}

use DecisionType::{OrchestrationPath, ResponseMode, RetrievalStrategy, RetryStrategy, ToolSelection};
use SignalType::{EmptyRetrieval, LatencyThreshold, RetryOccurred, SchemaValid, TokenUsage, ToolFailure, ToolSuccess};
use Tone::{Attention, Plain};

/// Every reason, in the order of the contract.
pub static REASON_CODES: &[ReasonRow] = &[
    reason(1, ToolSelection, "fresh_data_required"),
    reason(2, ToolSelection, "cached_data_sufficient"),
    reason(3, ToolSelection, "tool_unavailable"),
    reason(4, ToolSelection, "cost_optimization"),
    reason(5, ToolSelection, "latency_optimization"),
    reason(6, ToolSelection, "accuracy_required"),
    reason(7, RetrievalStrategy, "semantic_search_preferred"),
    reason(8, RetrievalStrategy, "keyword_match_sufficient"),
    reason(9, RetrievalStrategy, "hybrid_approach_needed"),
    reason(10, RetrievalStrategy, "filter_applied"),
    reason(11, RetrievalStrategy, "rerank_required"),
    reason(12, ResponseMode, "streaming_requested"),
    reason(13, ResponseMode, "batch_preferred"),
    reason(14, ResponseMode, "format_constraint"),
    reason(15, ResponseMode, "length_constraint"),
    reason(16, RetryStrategy, "transient_error_detected"),
    reason(17, RetryStrategy, "rate_limit_encountered"),
    reason(18, RetryStrategy, "no_retry_terminal_error"),
    reason(19, RetryStrategy, "retry_budget_exhausted"),
    reason(20, RetryStrategy, "backoff_required"),
    reason(21, OrchestrationPath, "sequential_required"),
    reason(22, OrchestrationPath, "parallel_preferred"),
    reason(23, OrchestrationPath, "conditional_branch"),
    reason(24, OrchestrationPath, "early_exit"),
    reason(25, OrchestrationPath, "fallback_path"),
];

/// Every signal, in the order of the contract.
pub static SIGNAL_CODES: &[SignalRow] = &[
    signal(1, SchemaValid, "full_match", Plain),
    signal(2, SchemaValid, "partial_match", Attention),
    signal(3, SchemaValid, "validation_failed", Attention),
    signal(4, SchemaValid, "no_schema_defined", Plain),
    signal(5, EmptyRetrieval, "no_results", Attention),
    signal(6, EmptyRetrieval, "filtered_out", Attention),
    signal(7, EmptyRetrieval, "index_empty", Attention),
    signal(8, ToolSuccess, "first_attempt", Plain),
    signal(9, ToolSuccess, "after_retry", Plain),
    signal(10, ToolSuccess, "fallback_used", Plain),
    signal(11, ToolFailure, "timeout", Attention),
    signal(12, ToolFailure, "invalid_input", Attention),
    signal(13, ToolFailure, "unavailable", Attention),
    signal(14, ToolFailure, "rate_limited", Attention),
    signal(15, ToolFailure, "authentication_failed", Attention),
    signal(16, RetryOccurred, "single_retry", Attention),
    signal(17, RetryOccurred, "multiple_retries", Attention),
    signal(18, RetryOccurred, "max_retries_reached", Attention),
    signal(19, LatencyThreshold, "under_threshold", Plain),
    signal(20, LatencyThreshold, "exceeded_threshold", Attention),
    signal(21, LatencyThreshold, "significantly_exceeded", Attention),
    signal(22, TokenUsage, "low_usage", Plain),
    signal(23, TokenUsage, "moderate_usage", Plain),
    signal(24, TokenUsage, "high_usage", Attention),
    signal(25, TokenUsage, "limit_approached", Attention),
];

/// How many signals there are; their tags begin with 1.
pub const SIGNAL_CODE_COUNT: usize = 25;

/// The failure codes that have a known meaning. The list is open: any code of the right form is accepted.
pub static KNOWN_FAILURE_CODES: &[&str] = &[
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
];

/// The metadata keys that have a known meaning.
pub static KNOWN_METADATA_KEYS: &[&str] =
    &["model", "provider", "input_tokens", "output_tokens", "cost_usd", "http_status", "result_count", "attempt"];

impl ReasonCode {
    /// The row of this type and code.
    pub fn parse(decision_type: DecisionType, code: &str) -> Option<Self> {
        REASON_CODES.iter().find(|row| row.decision_type == decision_type && row.code == code).map(Self)
    }

    /// The row that the log stored under this number.
    pub fn from_tag(tag: u16) -> Option<Self> {
        REASON_CODES.get(usize::from(tag).checked_sub(1)?).map(Self)
    }

    /// The codes that belong to `decision_type`.
    pub fn of(decision_type: DecisionType) -> impl Iterator<Item = &'static str> {
        REASON_CODES.iter().filter(move |row| row.decision_type == decision_type).map(|row| row.code)
    }

    /// What the log stores.
    pub const fn tag(self) -> u16 {
        self.0.tag
    }

    /// The decision type.
    pub const fn decision_type(self) -> DecisionType {
        self.0.decision_type
    }

    /// The code on the wire.
    pub const fn as_str(self) -> &'static str {
        self.0.code
    }
}

impl SignalCode {
    /// The row of this type and code.
    pub fn parse(signal_type: SignalType, code: &str) -> Option<Self> {
        SIGNAL_CODES.iter().find(|row| row.signal_type == signal_type && row.code == code).map(Self)
    }

    /// The row that the log stored under this number.
    pub fn from_tag(tag: u16) -> Option<Self> {
        SIGNAL_CODES.get(usize::from(tag).checked_sub(1)?).map(Self)
    }

    /// The codes that belong to `signal_type`.
    pub fn of(signal_type: SignalType) -> impl Iterator<Item = &'static str> {
        SIGNAL_CODES.iter().filter(move |row| row.signal_type == signal_type).map(|row| row.code)
    }

    /// What the log stores.
    pub const fn tag(self) -> u16 {
        self.0.tag
    }

    /// The signal type.
    pub const fn signal_type(self) -> SignalType {
        self.0.signal_type
    }

    /// The code on the wire.
    pub const fn as_str(self) -> &'static str {
        self.0.code
    }

    /// How this code with this value is shown.
    pub const fn tone(self, value: bool) -> Tone {
        match (self.0.tone, value) {
            (tone, true) => tone,
            (Tone::Attention, false) => Tone::Plain,
            (Tone::Plain, false) => Tone::Attention,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_name_their_rows() {
        for row in REASON_CODES {
            assert_eq!(ReasonCode::from_tag(row.tag), ReasonCode::parse(row.decision_type, row.code));
        }
        for row in SIGNAL_CODES {
            assert_eq!(SignalCode::from_tag(row.tag), SignalCode::parse(row.signal_type, row.code));
        }
        assert_eq!(ReasonCode::from_tag(0), None);
        assert_eq!(SignalCode::from_tag(26), None);
        assert_eq!(SIGNAL_CODES.len(), SIGNAL_CODE_COUNT);
    }

    #[test]
    fn a_reason_belongs_to_its_type() {
        assert!(ReasonCode::parse(DecisionType::ToolSelection, "fresh_data_required").is_some());
        assert_eq!(ReasonCode::parse(DecisionType::ResponseMode, "fresh_data_required"), None);
    }

    #[test]
    fn a_false_value_turns_the_tone() {
        let no_results = SignalCode::parse(SignalType::EmptyRetrieval, "no_results").unwrap();
        assert_eq!((no_results.tone(true), no_results.tone(false)), (Tone::Attention, Tone::Plain));
        let full_match = SignalCode::parse(SignalType::SchemaValid, "full_match").unwrap();
        assert_eq!((full_match.tone(true), full_match.tone(false)), (Tone::Plain, Tone::Attention));
    }
}
