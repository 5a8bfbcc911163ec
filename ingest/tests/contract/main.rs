//! The write side held to the HTTP contract, through its router. One behaviour a file; one program, so that it links
//! once.

mod a_run_id_is_stored_once;
mod answers_have_the_shapes_of_the_contract;
mod bodies_are_bounded;
mod each_broken_rule_is_named_at_its_place;
mod events_of_live_runs_are_checked_one_by_one;
mod every_form_of_a_run_is_accepted;
mod mutated_bodies_never_break_the_server;
mod one_bad_run_never_costs_another;
mod private_values_are_removed_and_counted;
mod world;
