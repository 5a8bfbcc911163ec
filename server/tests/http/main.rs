//! Every rule of the HTTP contract, asked of a real server over real HTTP.

#[path = "../common/mod.rs"]
mod common;

mod answers_have_the_shapes_of_the_contract;
mod durable_means_visible;
mod erased_runs_are_gone;
mod ingest_endpoints_keep_the_contract;
mod keys_open_what_they_may_and_nothing_else;
mod live_runs_are_shown_as_they_go;
mod one_directory_one_server;
mod pages_and_hosts_are_checked;
mod privacy_rules_refuse_and_remove;
mod query_endpoints_keep_the_contract;
mod run_fields_are_checked;
mod slow_and_large_requests_stop_nobody;
mod the_api_is_described_as_it_is;
mod the_index_can_be_deleted;
mod tls_is_spoken_and_read_again;
