//! Mirrors a query in the terminal.
fn main() {}
