//! One binary for every black-box suite, so that the foreign software is linked and looked for once.

#[cfg(test)]
mod direct;
