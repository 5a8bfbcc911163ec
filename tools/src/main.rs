//! `agenttracer`: the server and every offline tool.

fn main() {}
