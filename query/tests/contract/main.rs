//! The query API through its router, over a real index on a log in memory: every rule of the contract's §6.

mod a_cursor_shows_each_run_once_while_others_arrive;
mod a_query_ends_with_its_client_or_its_time;
mod aggregates_agree_with_a_plain_model;
mod answers_come_from_one_moment_while_runs_arrive;
mod damage_costs_one_run_only;
mod errors_have_the_contract_s_shapes;
mod filters_agree_with_a_plain_model;
mod followers_are_not_left_waiting;
mod lists_are_newest_first;
mod parts_of_a_run_are_answered;
mod support;
mod two_sides_are_compared;
