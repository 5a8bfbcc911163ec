/* By hand until the server's OpenAPI document is checked in; `npm run types` then writes this file. */

type Uuid = string;
type Timestamp = string;
type Metadata = Record<string, unknown>;

export interface components {
  schemas: {
    RunStatus: 'running' | 'success' | 'failure' | 'partial';
    StepType: 'plan' | 'retrieve' | 'tool' | 'respond' | 'other';
    StepStatus: 'ok' | 'failed' | 'unknown';
    FailureType: 'tool' | 'model' | 'retrieval' | 'orchestration';
    Tone: 'attention' | 'plain';
    RunHead: {
      run_id: Uuid;
      agent_id: string;
      agent_version: string;
      environment: string;
      status: components['schemas']['RunStatus'];
      started_at: Timestamp;
      ended_at: Timestamp | null;
      created_at: Timestamp;
      duration_ms: number | null;
      parent_run_id: Uuid | null;
      parent_step_id: Uuid | null;
      session_id: string | null;
      trace_id: string | null;
      metadata: Metadata;
      removed_count: number;
      position: number;
    };
    Run: components['schemas']['RunHead'] & {
      steps: components['schemas']['Step'][];
      failures: components['schemas']['Failure'][];
      decisions: components['schemas']['Decision'][];
      quality_signals: components['schemas']['Signal'][];
    };
    RunSummary: components['schemas']['RunHead'] & {
      step_count: number;
      retry_count: number;
      decision_count: number;
      signal_count: number;
      attention_count: number;
      failures: { failure_type: components['schemas']['FailureType']; failure_code: string }[];
    };
    Step: {
      step_id: Uuid;
      run_id: Uuid;
      seq: number;
      step_type: components['schemas']['StepType'];
      name: string;
      latency_ms: number;
      started_at: Timestamp;
      ended_at: Timestamp;
      metadata: Metadata;
      created_at: Timestamp;
      status: components['schemas']['StepStatus'];
      error_code: string | null;
      parent_step_id: Uuid | null;
      attempt: number;
      attempts_total: number;
      retry_group: Uuid | null;
    };
    Failure: {
      failure_id: Uuid;
      run_id: Uuid;
      step_id: Uuid | null;
      failure_type: components['schemas']['FailureType'];
      failure_code: string;
      message: string;
      created_at: Timestamp;
    };
    Decision: {
      decision_id: Uuid;
      run_id: Uuid;
      step_id: Uuid | null;
      decision_type: string;
      selected: string;
      reason_code: string;
      confidence: number | null;
      metadata: Metadata;
      recorded_at: Timestamp;
      created_at: Timestamp;
    };
    Signal: {
      signal_id: Uuid;
      run_id: Uuid;
      step_id: Uuid | null;
      signal_type: string;
      signal_code: string;
      value: boolean;
      weight: number | null;
      metadata: Metadata;
      recorded_at: Timestamp;
      created_at: Timestamp;
      tone: components['schemas']['Tone'];
    };
    RunRecord: { position: number; time: Timestamp; type: string; event_time?: Timestamp; [field: string]: unknown };
    Percentiles: { p50: number | null; p95: number | null; p99: number | null };
    StatusCounts: { success: number; failure: number; partial: number };
    Sums: { steps: number; retries: number; latency_ms: number; share: number };
    RunLatency: {
      run_id: Uuid;
      duration_ms: number | null;
      busy_ms: number;
      idle: { before_first_step_ms: number; between_steps_ms: number; after_last_step_ms: number | null };
      overlap_ms: number;
      retries: { operations: number; attempts: number; waste_ms: number; backoff_ms: number };
      step_latency_ms: components['schemas']['Percentiles'];
      critical_path: {
        steps_ms: number;
        steps: {
          step_id: Uuid;
          seq: number;
          step_type: components['schemas']['StepType'];
          name: string;
          length_ms: number;
          waited_ms: number;
        }[];
      };
      by_step_type: (components['schemas']['Sums'] & { step_type: components['schemas']['StepType'] })[];
      by_step: (components['schemas']['Sums'] & { step_type: components['schemas']['StepType']; name: string })[];
    };
    HistogramBucket: { start: Timestamp; end: Timestamp; runs: number; by_status: components['schemas']['StatusCounts'] };
    Histogram: {
      interval: string | null;
      time_zone: string;
      total_runs: number;
      buckets: components['schemas']['HistogramBucket'][];
    };
    SeriesNumbers: {
      runs: number;
      failures: number;
      failure_rate: number | null;
      duration_ms: components['schemas']['Percentiles'];
    };
    SeriesBucket: components['schemas']['SeriesNumbers'] & { start: Timestamp; end: Timestamp };
    Timeseries: {
      interval: string | null;
      time_zone: string;
      total_runs: number;
      total?: components['schemas']['SeriesNumbers'];
      buckets: components['schemas']['SeriesBucket'][];
    };
    Facet: { field: string; distinct: number; values: { value: string; runs: number }[] };
    Facets: { total_runs: number; facets: components['schemas']['Facet'][] };
    Group: {
      runs: number;
      by_status: components['schemas']['StatusCounts'];
      failure_rate: number;
      steps: number;
      runs_with_retries: number;
      retry_waste_ms: number;
      duration_ms: components['schemas']['Percentiles'];
      first_seen: Timestamp | null;
      last_seen: Timestamp | null;
    };
    Agents: {
      total_runs: number;
      total_agents: number;
      agents: (components['schemas']['Group'] & { agent_id: string; versions: number })[];
    };
    Versions: {
      agent_id: string;
      total_runs: number;
      total_versions: number;
      versions: (components['schemas']['Group'] & { agent_version: string })[];
    };
    CountOf: { reason_code: string; count: number };
    Decisions: {
      total_runs: number;
      total_decisions: number;
      types: {
        decision_type: string;
        count: number;
        runs: number;
        confidence: number[];
        without_confidence: number;
        reasons: components['schemas']['CountOf'][];
        distinct_selected: number;
        selected: { selected: string; count: number; reasons: components['schemas']['CountOf'][] }[];
      }[];
    };
    Signals: {
      total_runs: number;
      total_signals: number;
      types: {
        signal_type: string;
        count: number;
        runs: number;
        codes: {
          signal_code: string;
          count: number;
          runs: number;
          count_true: number;
          count_false: number;
          runs_true: number;
          runs_false: number;
          attention: number;
          attention_value: boolean;
        }[];
      }[];
      timeline?: {
        interval: string | null;
        time_zone: string;
        total_runs: number;
        buckets: components['schemas']['SignalsBucket'][];
      };
    };
    SignalsBucket: {
      start: Timestamp;
      end: Timestamp;
      runs: number;
      codes: {
        signal_type: string;
        signal_code: string;
        count_true: number;
        count_false: number;
        runs_true: number;
        runs_false: number;
      }[];
    };
    StepName: { step_type: components['schemas']['StepType']; name: string };
    Failures: {
      total_runs: number;
      runs_with_failure: number;
      total_clusters: number;
      clusters: {
        cluster: string;
        runs: number;
        failed_runs: number;
        share: number;
        first_seen: Timestamp;
        last_seen: Timestamp;
        versions: { agent_version: string; runs: number }[];
        examples: Uuid[];
        cause: {
          agent_id: string;
          failure_type: components['schemas']['FailureType'] | null;
          failure_code: string | null;
          step: components['schemas']['StepName'] | null;
          step_seq: number | null;
          path: components['schemas']['StepName'][];
          spread_to: { failure_type: components['schemas']['FailureType']; failure_code: string; step: string | null }[];
        } | null;
      }[];
    };
    Stats: {
      total_runs: number;
      total_failures: number;
      success_rate: number;
      avg_latency_ms: number;
      failure_breakdown: Record<string, number>;
      step_type_breakdown: Record<string, number>;
    };
    Spread: { runs: number; sum: number; mean: number } & components['schemas']['Percentiles'];
    VersionLatency: {
      runs: number;
      duration_ms: components['schemas']['Spread'];
      idle_ms: components['schemas']['Spread'];
      overlap_ms: components['schemas']['Spread'];
      retry_waste_ms: components['schemas']['Spread'];
      critical_path_ms: components['schemas']['Spread'];
      by_step_type: { step_type: string; steps: number; share: number; latency_ms: components['schemas']['Spread'] }[];
      by_step: { step_type: string; name: string; steps: number; share: number; latency_ms: components['schemas']['Spread'] }[];
    };
    CompareState: 'significant' | 'not_significant' | 'not_enough_data' | 'too_many_values';
    CompareTest: 'fisher_exact' | 'score' | 'mann_whitney' | 'chi_squared' | 'permutation';
    CompareVerdict: {
      state: components['schemas']['CompareState'];
      test: components['schemas']['CompareTest'] | null;
      p_value: number | null;
      p_adjusted: number | null;
      effect_size: number | null;
    };
    CompareShare: { runs: number; count: number; share: number };
    CompareNumbers: { runs: number; mean: number | null; p50: number | null; p95: number | null };
    CompareDifference: { difference: number | null; confidence_interval: (number | null)[] | null };
    CompareRate: components['schemas']['CompareVerdict'] & {
      metric: string;
      name: string | null;
      base: components['schemas']['CompareShare'];
      candidate: components['schemas']['CompareShare'];
      difference: number;
      confidence_interval: (number | null)[] | null;
    };
    CompareQuantity: components['schemas']['CompareVerdict'] & {
      metric: string;
      name: string | null;
      exact: boolean;
      base: components['schemas']['CompareNumbers'];
      candidate: components['schemas']['CompareNumbers'];
      p50: components['schemas']['CompareDifference'];
      p95: components['schemas']['CompareDifference'];
    };
    CompareCategory: {
      values: string[];
      other: boolean;
      base: components['schemas']['CompareShare'];
      candidate: components['schemas']['CompareShare'];
      difference: number;
      confidence_interval: (number | null)[] | null;
    };
    CompareDistribution: components['schemas']['CompareVerdict'] & {
      metric: string;
      name: string | null;
      base: number;
      candidate: number;
      categories: components['schemas']['CompareCategory'][];
    };
    Comparison: {
      by: string;
      agent_id: string | null;
      base: { name: string; runs: number };
      candidate: { name: string; runs: number };
      state: components['schemas']['CompareState'];
      tested: number;
      significant: number;
      false_discovery_rate: number;
      min_runs: number;
      rates: components['schemas']['CompareRate'][];
      failures_left_out: number;
      quantities: components['schemas']['CompareQuantity'][];
      distributions: components['schemas']['CompareDistribution'][];
    };
    Health: { status: string; service: string; version: string; sync_mode: string; position: number; ingest_port: number | null; reason?: string };
  };
}

type Query = Record<string, string | number | boolean | string[] | undefined>;
interface Get<Body, Path = undefined> {
  parameters: { query?: Query; header?: never; path: Path; cookie?: never };
  requestBody?: never;
  responses: { 200: { headers: Record<string, unknown>; content: { 'application/json': Body } } };
}
interface Only<Body, Path = undefined> {
  parameters: { query?: never; header?: never; path?: Path; cookie?: never };
  get: Path extends undefined ? Omit<Get<Body>, 'parameters'> & { parameters: { query?: Query } } : Get<Body, Path>;
  put?: never;
  post?: never;
  delete?: never;
  options?: never;
  head?: never;
  patch?: never;
  trace?: never;
}
type Schemas = components['schemas'];

export interface paths {
  '/v1/runs': Only<Schemas['RunSummary'][]>;
  '/v1/runs/{run_id}': Only<Schemas['Run'], { run_id: string }>;
  '/v1/runs/{run_id}/events': Only<Schemas['RunRecord'][], { run_id: string }>;
  '/v1/runs/{run_id}/latency': Only<Schemas['RunLatency'], { run_id: string }>;
  '/v1/runs/histogram': Only<Schemas['Histogram']>;
  '/v1/timeseries': Only<Schemas['Timeseries']>;
  '/v1/facets': Only<Schemas['Facets']>;
  '/v1/agents': Only<Schemas['Agents']>;
  '/v1/agents/{agent_id}/versions': Only<Schemas['Versions'], { agent_id: string }>;
  '/v1/agents/{agent_id}/versions/{agent_version}/latency': Only<
    Schemas['VersionLatency'],
    { agent_id: string; agent_version: string }
  >;
  '/v1/decisions': Only<Schemas['Decisions']>;
  '/v1/signals': Only<Schemas['Signals']>;
  '/v1/failures': Only<Schemas['Failures']>;
  '/v1/compare': Only<Schemas['Comparison']>;
  '/v1/stats': Only<Schemas['Stats']>;
  '/health': Only<Schemas['Health']>;
}
