//! The Callgate binary.
fn main() {}
