//! All targets under libFuzzer, which is the real `main` and ignores flags that begin with `--`: `--target=NAME` is ours.
#![no_main]

use std::sync::LazyLock;

use callgate_fuzz::{TARGETS, Target};

static TARGET: LazyLock<Target> = LazyLock::new(choose);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET(bytes));

#[expect(clippy::panic, reason = "libFuzzer hears of nothing else")]
fn choose() -> Target {
    let mut words = std::env::args();
    let name = words.find_map(|word| word.strip_prefix("--target=").map(str::to_owned));
    match TARGETS.iter().find(|(known, _)| Some(*known) == name.as_deref()) {
        Some((_, target)) => *target,
        None => panic!("--target={} is no target", name.unwrap_or_default()),
    }
}
