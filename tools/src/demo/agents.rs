//! The agents of the demo: what they do, and in which ways they fail.

use serde_json::{Value, json};
use uuid::Uuid;

use super::draft::{Draft, Told};

/// An agent and its ways.
pub(super) struct Agent {
    pub(super) id: &'static str,
    /// The share of the runs.
    pub(super) weight: f64,
    /// Before and behind the roll-out of the newer version, and when that is, from 0 to 1.
    pub(super) versions: (&'static str, &'static str, f64),
    model: (&'static str, &'static str),
    plan: &'static [&'static str],
    retrieve: &'static [&'static str],
    tools: &'static [&'static str],
    respond: &'static str,
}

/// The agent whose newer version is worse.
pub(super) const TRIAGE: usize = 0;
/// The agent that has others work for it, and those.
pub(super) const CREW: usize = 2;
pub(super) const WORKER: usize = 5;

pub(super) static AGENTS: [Agent; 6] = [
    Agent {
        id: "support-triage",
        weight: 42.0,
        versions: ("2.4.0", "2.4.1", 0.45),
        model: ("anthropic", "claude-sonnet-4"),
        plan: &["plan.next_action", "plan.classify"],
        retrieve: &["kb.search", "kb.rerank"],
        tools: &["tickets.search", "crm.lookup_customer", "tickets.update"],
        respond: "respond.final",
    },
    Agent {
        id: "billing-assistant",
        weight: 22.0,
        versions: ("1.1.3", "1.2.0", 0.2),
        model: ("openai", "gpt-4.1-mini"),
        plan: &["plan.next_action"],
        retrieve: &["invoices.search"],
        tools: &["billing.get_invoice", "billing.open_dispute", "payments.status"],
        respond: "respond.final",
    },
    Agent {
        id: "research-crew",
        weight: 5.0,
        versions: ("0.9.0", "0.9.0", 1.0),
        model: ("anthropic", "claude-sonnet-4"),
        plan: &["plan.fan_out"],
        retrieve: &["web.search"],
        tools: &["worker.run"],
        respond: "respond.report",
    },
    Agent {
        id: "code-reviewer",
        weight: 15.0,
        versions: ("3.0.0", "3.1.0", 0.7),
        model: ("openai", "gpt-4.1"),
        plan: &["plan.read_diff", "plan.split_files"],
        retrieve: &["repo.find_references"],
        tools: &["ci.status", "linter.run", "tests.run"],
        respond: "respond.review",
    },
    Agent {
        id: "kb-curator",
        weight: 10.0,
        versions: ("1.0.4", "1.0.4", 1.0),
        model: ("mistral", "mistral-small"),
        plan: &["plan.pick_topic"],
        retrieve: &["kb.search", "vector.search", "bm25.search"],
        tools: &["kb.fetch_article", "kb.tag_article"],
        respond: "respond.summary",
    },
    Agent {
        id: "research-worker",
        weight: 0.0,
        versions: ("0.9.0", "0.9.0", 1.0),
        model: ("mistral", "mistral-small"),
        plan: &["plan.refine"],
        retrieve: &["web.search", "papers.search"],
        tools: &["web.fetch_page"],
        respond: "respond.notes",
    },
];

/// Where a run fails.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Plan,
    Retrieve,
    Tool,
    Respond,
    /// In no step.
    Between,
}

/// A way to fail.
#[derive(Clone, Copy)]
pub(super) struct Fault {
    pub(super) agent: usize,
    /// How often, beside the other ways of this agent.
    weight: f64,
    kind: &'static str,
    code: &'static str,
    place: Place,
    message: &'static str,
}

const fn fault(
    agent: usize,
    weight: f64,
    (kind, code): (&'static str, &'static str),
    place: Place,
    message: &'static str,
) -> Fault {
    Fault { agent, weight, kind, code, place, message }
}

/// Every type of the taxonomy, and every code that is known.
pub(super) static FAULTS: [Fault; 31] = [
    fault(0, 6.0, ("tool", "timeout"), Place::Tool, "no answer within 5 s"),
    fault(0, 1.5, ("model", "rate_limited"), Place::Plan, "the provider limited the rate"),
    fault(0, 1.0, ("orchestration", "handoff_failed"), Place::Between, "no human agent took the conversation over"),
    fault(0, 0.7, ("orchestration", "cancelled"), Place::Between, "the customer left"),
    fault(0, 0.5, ("tool", "connection_error"), Place::Tool, "the connection was reset"),
    fault(0, 0.3, ("model", "provider_unavailable"), Place::Respond, "the provider answered 503"),
    fault(1, 2.0, ("tool", "rate_limited"), Place::Tool, "the billing service limited the rate"),
    fault(1, 1.5, ("tool", "auth_failed"), Place::Tool, "the billing service answered 401"),
    fault(1, 0.8, ("tool", "permission_denied"), Place::Tool, "this account may not open disputes"),
    fault(1, 0.8, ("model", "quota_exceeded"), Place::Plan, "the monthly quota is used up"),
    fault(1, 0.6, ("tool", "invalid_request"), Place::Tool, "invoice_id is not valid"),
    fault(1, 0.5, ("orchestration", "approval_denied"), Place::Between, "a refund over the limit was not approved"),
    fault(1, 0.5, ("orchestration", "guardrail_blocked"), Place::Respond, "the answer was held back by a policy"),
    fault(1, 0.3, ("retrieval", "empty_retrieval"), Place::Retrieve, "no invoice matched"),
    fault(2, 1.0, ("orchestration", "max_iterations"), Place::Between, "stopped after 12 rounds"),
    fault(2, 1.0, ("orchestration", "sub_agent_failed"), Place::Between, "a worker came back without notes"),
    fault(2, 0.4, ("orchestration", "abandoned"), Place::Between, "the supervisor heard nothing for 15 min"),
    fault(3, 2.0, ("model", "context_overflow"), Place::Plan, "the diff is longer than the context"),
    fault(3, 1.2, ("model", "output_truncated"), Place::Respond, "the review ended at the output limit"),
    fault(3, 0.8, ("model", "schema_invalid"), Place::Respond, "comments without line numbers"),
    fault(3, 0.8, ("tool", "tool_error"), Place::Tool, "exit status 2"),
    fault(3, 0.5, ("tool", "tool_not_found"), Place::Tool, "this repository has no such tool"),
    fault(3, 0.5, ("orchestration", "uncaught_exception"), Place::Between, "KeyError in merge_comments"),
    fault(4, 3.0, ("retrieval", "empty_retrieval"), Place::Retrieve, "no article matched"),
    fault(4, 2.0, ("retrieval", "low_relevance"), Place::Retrieve, "the best score was 0.21"),
    fault(4, 0.8, ("retrieval", "retrieval_error"), Place::Retrieve, "the vector store answered 500"),
    fault(4, 0.6, ("model", "content_filtered"), Place::Respond, "the provider filtered the answer"),
    fault(4, 0.4, ("orchestration", "loop_detected"), Place::Between, "the same topic three times"),
    fault(4, 0.2, ("orchestration", "unknown"), Place::Between, "no reason was given"),
    fault(5, 2.0, ("tool", "timeout"), Place::Tool, "the page did not load within 10 s"),
    fault(5, 1.0, ("retrieval", "low_relevance"), Place::Retrieve, "nothing new was found"),
];

/// What is so when a run begins.
#[derive(Clone, Copy)]
pub(super) struct Scene {
    pub(super) agent: usize,
    pub(super) version: &'static str,
    /// The way in which it fails, if it does.
    pub(super) fault: Option<Fault>,
}

/// The names under which a tool is chosen.
const SELECTION: [(&str, f64); 6] = [
    ("fresh_data_required", 40.0),
    ("cached_data_sufficient", 25.0),
    ("accuracy_required", 15.0),
    ("cost_optimization", 9.0),
    ("latency_optimization", 7.0),
    ("tool_unavailable", 4.0),
];
/// In the newer version of the triage agent.
const NEWER_SELECTION: [(&str, f64); 6] = [
    ("fresh_data_required", 62.0),
    ("cached_data_sufficient", 8.0),
    ("accuracy_required", 12.0),
    ("cost_optimization", 5.0),
    ("latency_optimization", 6.0),
    ("tool_unavailable", 7.0),
];
const STRATEGY: [(&str, f64); 5] = [
    ("semantic_search_preferred", 45.0),
    ("hybrid_approach_needed", 20.0),
    ("keyword_match_sufficient", 18.0),
    ("rerank_required", 10.0),
    ("filter_applied", 7.0),
];
const MODE: [(&str, f64); 4] =
    [("streaming_requested", 60.0), ("format_constraint", 18.0), ("length_constraint", 14.0), ("batch_preferred", 8.0)];
const PATH: [(&str, f64); 4] =
    [("sequential_required", 50.0), ("conditional_branch", 30.0), ("parallel_preferred", 12.0), ("early_exit", 8.0)];

/// The way that one of an agent's failing runs takes.
pub(super) fn choose_fault(draft: &mut Draft, agent: usize) -> Fault {
    let own: Vec<_> = FAULTS.iter().filter(|fault| fault.agent == agent).map(|fault| (*fault, fault.weight)).collect();
    draft.dice.weighted(&own)
}

/// Tells a run of one of the agents, but for the crew's.
pub(super) fn tell(mut draft: Draft, scene: Scene) -> Told {
    let agent = &AGENTS[scene.agent];
    let fault = scene.fault;
    let worse = is_worse(scene);
    let at = |place: Place| fault.filter(|fault| fault.place == place);

    let name = draft.dice.of_list(agent.plan);
    if let Some(fault) = at(Place::Plan) {
        return fail_in_step(draft, agent, fault, "plan", name);
    }
    let plan_ms = draft.dice.latency(if worse { 640.0 } else { 430.0 });
    let used = model(&mut draft, agent, if worse { 1.6 } else { 1.0 });
    let plan = draft.step("plan", name, plan_ms, json!({"metadata": used}));
    if draft.dice.chance(0.35) {
        let reason = draft.dice.weighted(&PATH);
        draft.decide(plan, "orchestration_path", reason, "search_then_act", &["search_then_act", "act", "ask_back"]);
    }

    if let Some(fault) = at(Place::Retrieve) {
        let name = draft.dice.of_list(agent.retrieve);
        return fail_in_step(draft, agent, fault, "retrieve", name);
    }
    for _ in 0..draft.dice.int(1, if scene.agent == 4 { 3 } else { 1 }) {
        retrieve(&mut draft, agent);
    }

    let tools = draft.dice.int(1, 3);
    for number in 0..tools {
        let name = agent.tools[(number as usize) % agent.tools.len()];
        let reasons = if worse { &NEWER_SELECTION } else { &SELECTION };
        let reason = draft.dice.weighted(reasons);
        draft.decide(plan, "tool_selection", reason, name, agent.tools);
        let last = number + 1 == tools;
        if let (true, Some(fault)) = (last, at(Place::Tool)) {
            // What the newer version made worse is one tool.
            let name = if scene.agent == TRIAGE && fault.code == "timeout" { "tickets.update" } else { name };
            return fail_in_step(draft, agent, fault, "tool", name);
        }
        tool(&mut draft, name, if worse { 0.2 } else { 0.055 });
    }
    if let Some(fault) = at(Place::Between) {
        draft.wait(300);
        draft.fail(None, fault.kind, fault.code, fault.message);
        return draft.end("failure");
    }
    if draft.dice.chance(0.12) {
        let ms = draft.dice.latency(24.0);
        draft.step("other", "guardrail.policy_check", ms, json!({}));
    }
    if let Some(fault) = at(Place::Respond) {
        return fail_in_step(draft, agent, fault, "respond", agent.respond);
    }
    answer(draft, agent, worse)
}

fn is_worse(scene: Scene) -> bool {
    scene.agent == TRIAGE && scene.version == AGENTS[TRIAGE].versions.1
}

/// What a step used of a model.
fn model(draft: &mut Draft, agent: &Agent, more: f64) -> Value {
    let (provider, model) = agent.model;
    let input = (draft.dice.latency(1_400.0) as f64 * more) as u64;
    let output = draft.dice.latency(180.0);
    // Dollars for a million, about as providers ask.
    let (price_in, price_out) = match model {
        "claude-sonnet-4" => (3.0, 15.0),
        "gpt-4.1" => (2.0, 8.0),
        "gpt-4.1-mini" => (0.4, 1.6),
        _ => (0.1, 0.3),
    };
    let cost = (input as f64 * price_in + output as f64 * price_out) / 1e6;
    json!({
        "provider": provider, "model": model, "input_tokens": input, "output_tokens": output,
        "cost_usd": (cost * 1e6).round() / 1e6,
    })
}

fn retrieve(draft: &mut Draft, agent: &Agent) {
    let name = draft.dice.of_list(agent.retrieve);
    let empty = draft.dice.chance(0.06);
    let found = if empty { 0 } else { draft.dice.int(1, 20) };
    let ms = draft.dice.latency(140.0);
    let step = draft.step("retrieve", name, ms, json!({"metadata": {"result_count": found}}));
    let reason = draft.dice.weighted(&STRATEGY);
    draft.decide(step, "retrieval_strategy", reason, name, &["kb.search", "vector.search", "bm25.search"]);
    if empty {
        let code = draft.dice.weighted(&[("no_results", 6.0), ("filtered_out", 3.0), ("index_empty", 1.0)]);
        draft.signal(step, "empty_retrieval", code, true, 0.4);
    } else if draft.dice.chance(0.2) {
        draft.signal(step, "empty_retrieval", "no_results", false, 0.1);
    }
}

/// A tool that works, at once or after retries, or in place of which another one does.
fn tool(draft: &mut Draft, name: &str, retry_rate: f64) {
    if !draft.dice.chance(retry_rate) {
        let ms = draft.dice.latency(260.0);
        let step = draft.step("tool", name, ms, json!({"metadata": {"http_status": 200, "tool_name": name}}));
        if draft.dice.chance(0.3) {
            draft.signal(step, "tool_success", "first_attempt", true, 0.1);
        }
        return;
    }
    let failed = draft.dice.int(1, 2);
    let (first, last) = attempts(draft, "tool", name, "timeout", failed);
    if draft.dice.chance(0.15) {
        draft.decide(last, "orchestration_path", "fallback_path", "cache.lookup", &["cache.lookup", name]);
        let ms = draft.dice.latency(20.0);
        let step = draft.step("tool", "cache.lookup", ms, json!({"metadata": {"tool_name": "cache.lookup"}}));
        draft.signal(step, "tool_success", "fallback_used", true, 0.6);
        return;
    }
    let ms = draft.dice.latency(300.0);
    let metadata = json!({"http_status": 200, "tool_name": name});
    let step = draft.step("tool", name, ms, json!({"attempt": failed + 1, "retry_of": first, "metadata": metadata}));
    draft.decide(step, "retry_strategy", "transient_error_detected", "retry_with_backoff", &RETRY);
    draft.signal(step, "tool_success", "after_retry", true, 0.4);
}

const RETRY: [&str; 3] = ["retry_with_backoff", "give_up", "fallback_tool"];

/// Attempts that fail, one behind the other; gives the first and the last.
fn attempts(draft: &mut Draft, kind: &str, name: &str, code: &str, count: u64) -> (Uuid, Uuid) {
    let (status, signal) = match code {
        "timeout" => (504, "timeout"),
        "rate_limited" | "quota_exceeded" => (429, "rate_limited"),
        "auth_failed" | "permission_denied" => (401, "authentication_failed"),
        "invalid_request" | "tool_not_found" => (400, "invalid_input"),
        _ => (503, "unavailable"),
    };
    let mut first = None;
    let mut last = Uuid::nil();
    for attempt in 1..=count {
        let ms = if code == "timeout" { 5_000 + draft.dice.int(0, 40) } else { draft.dice.latency(380.0) };
        let mut more = json!({
            "status": "failed", "error_code": code, "attempt": attempt,
            "metadata": {"http_status": status, "tool_name": name},
        });
        if let Some(first) = first {
            more["retry_of"] = json!(first);
        }
        last = draft.step(kind, name, ms, more);
        first.get_or_insert(last);
        if kind == "tool" {
            draft.signal(last, "tool_failure", signal, true, 0.6);
        }
        if attempt > 1 {
            let reason = if code == "rate_limited" { "rate_limit_encountered" } else { "backoff_required" };
            draft.decide(last, "retry_strategy", reason, "retry_with_backoff", &RETRY);
        }
        if attempt < count {
            let ms = 250 * (1 << attempt) + draft.dice.int(0, 60);
            draft.wait(ms);
        }
    }
    draft.wait(80);
    (first.unwrap_or(last), last)
}

/// Codes for which one tries again.
const TRANSIENT: [&str; 4] = ["timeout", "rate_limited", "provider_unavailable", "connection_error"];

/// The end of a run in a step that fails, after as many attempts as such a failure is worth.
fn fail_in_step(mut draft: Draft, agent: &Agent, fault: Fault, kind: &str, name: &str) -> Told {
    let transient = TRANSIENT.contains(&fault.code);
    let count = if transient { draft.dice.int(2, 4) } else { 1 };
    let (_, last) = attempts(&mut draft, kind, name, fault.code, count);
    if transient {
        let code = match count {
            2 => "single_retry",
            3 => "multiple_retries",
            _ => "max_retries_reached",
        };
        draft.signal(last, "retry_occurred", code, true, 0.8);
        draft.decide(last, "retry_strategy", "retry_budget_exhausted", "give_up", &RETRY);
    } else if kind == "tool" {
        draft.decide(last, "retry_strategy", "no_retry_terminal_error", "give_up", &RETRY);
    }
    if fault.code == "schema_invalid" {
        draft.signal(last, "schema_valid", "validation_failed", true, 0.9);
    }
    let message = match count {
        1 => format!("{name}: {}", fault.message),
        count => format!("{name}: {}, {count} attempts", fault.message),
    };
    draft.fail(Some(last), fault.kind, fault.code, &message);
    // A failure that is found out late can still be answered for in part.
    if kind == "retrieve" && draft.dice.chance(0.4) {
        let used = model(&mut draft, agent, 0.5);
        let ms = draft.dice.latency(500.0);
        draft.step("respond", agent.respond, ms, json!({"metadata": used}));
        return draft.end("partial");
    }
    draft.end("failure")
}

/// The end of a run that works out.
fn answer(mut draft: Draft, agent: &Agent, worse: bool) -> Told {
    let used = model(&mut draft, agent, if worse { 1.6 } else { 1.0 });
    let many = used["input_tokens"].as_u64().unwrap_or(0);
    let ms = draft.dice.latency(if agent.model.1 == "gpt-4.1" { 2_400.0 } else { 900.0 });
    let step = draft.step("respond", agent.respond, ms, json!({"metadata": used}));
    let reason = draft.dice.weighted(&MODE);
    draft.decide(step, "response_mode", reason, "stream", &["stream", "single"]);
    let valid = draft.dice.weighted(&[("full_match", 90.0), ("partial_match", 6.0), ("no_schema_defined", 4.0)]);
    draft.signal(step, "schema_valid", valid, true, 0.3);
    let usage = match many {
        0..700 => "low_usage",
        700..3_000 => "moderate_usage",
        3_000..6_000 => "high_usage",
        _ => "limit_approached",
    };
    draft.signal(step, "token_usage", usage, true, 0.2);
    let slow = match draft.now() / 1_000_000 {
        0..6 => "under_threshold",
        6..12 => "exceeded_threshold",
        _ => "significantly_exceeded",
    };
    draft.signal(step, "latency_threshold", slow, true, 0.3);
    let partial = draft.dice.chance(0.03);
    draft.end(if partial { "partial" } else { "success" })
}

/// A run of the crew: steps beside each other, each of which is a run of a worker. Gives the workers' runs with when they
/// begin, from the start of this run.
pub(super) fn tell_crew(
    mut draft: Draft,
    fault: Option<Fault>,
    worker: &mut dyn FnMut(u64, &Value, Uuid) -> Told,
) -> (Told, Vec<(i64, Told)>) {
    let agent = &AGENTS[CREW];
    let used = model(&mut draft, agent, 1.5);
    let ms = draft.dice.latency(900.0);
    let plan = draft.step("plan", "plan.fan_out", ms, json!({"metadata": used}));
    draft.decide(plan, "orchestration_path", "parallel_preferred", "fan_out", &["fan_out", "one_by_one"]);
    let began = draft.now();
    let mut told = Vec::new();
    let mut end = began;
    let mut lost = None;
    for number in 0..draft.dice.int(2, 4) {
        draft.go_to(began + number.cast_signed() * 60_000);
        let step_id = draft.dice.id();
        let run = worker(number, &draft.run_id(), step_id);
        let ms = (run.duration() / 1000).max(1).cast_unsigned() + 40;
        let status = if run.failed() { "failed" } else { "ok" };
        let mut more = json!({
            "step_id": step_id, "parent_step_id": plan, "status": status,
            "metadata": {"tool_name": "worker.run", "worker": number},
        });
        if run.failed() {
            more["error_code"] = json!("sub_agent_failed");
            lost = Some(step_id);
        }
        let begins = draft.now() + 10_000;
        draft.step("tool", &format!("worker.{number}"), ms, more);
        end = end.max(draft.now());
        told.push((begins, run));
    }
    draft.go_to(end);
    let fault = fault.or(lost.and_then(|_| FAULTS.iter().find(|fault| fault.code == "sub_agent_failed").copied()));
    if let Some(fault) = fault {
        let step = lost.filter(|_| fault.code == "sub_agent_failed");
        draft.fail(step, fault.kind, fault.code, fault.message);
        return (draft.end("failure"), told);
    }
    (answer(draft, agent, false), told)
}

/// A long run, the same whichever version has it, but for a tool that fails at its end.
pub(super) fn tell_long(mut draft: Draft, agent: usize, fails: bool) -> Told {
    let agent = &AGENTS[agent];
    let last_tool = agent.tools[agent.tools.len() - 1];
    for round in 0..18_u64 {
        let used = model(&mut draft, agent, 1.0);
        let ms = draft.dice.latency(380.0);
        let plan = draft.step("plan", agent.plan[0], ms, json!({"metadata": used}));
        let name = agent.tools[(round as usize) % 2];
        draft.decide(plan, "tool_selection", "fresh_data_required", name, agent.tools);
        if round % 3 == 0 {
            retrieve(&mut draft, agent);
        }
        let ms = draft.dice.latency(240.0);
        draft.step("tool", name, ms, json!({"metadata": {"http_status": 200, "tool_name": name}}));
        if round == 9 {
            tool(&mut draft, agent.tools[1], if fails { 1.0 } else { 0.0 });
        }
    }
    if fails {
        let (_, last) = attempts(&mut draft, "tool", last_tool, "timeout", 4);
        draft.signal(last, "retry_occurred", "max_retries_reached", true, 0.9);
        draft.decide(last, "retry_strategy", "retry_budget_exhausted", "give_up", &RETRY);
        draft.fail(Some(last), "tool", "timeout", &format!("{last_tool}: no answer within 5 s, 4 attempts"));
        let ms = draft.dice.latency(600.0);
        draft.step("respond", "respond.apology", ms, json!({}));
        return draft.end("failure");
    }
    tool(&mut draft, last_tool, 0.0);
    answer(draft, agent, false)
}
