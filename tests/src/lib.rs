//! What the black-box tests need: foreign clients and a foreign server, installed, started and driven.
//!
//! Callgate is tested with software that others wrote, because a mistake in reading the protocol made on both
//! sides of a test of our own is not seen. This crate installs that software ([`install`]), runs a real client
//! over a plan ([`drive`]) and the official suite over the whole protocol ([`conformance`]), starts a real
//! third-party MCP server ([`upstream`]) and gives it a backend that keeps a log of what reached it ([`backend`]). In
//! between stands the real binary ([`gateway`]), which is also addressed byte by byte ([`wire`]) and whose record is
//! read as its operator reads it ([`evidence`]). It must not link the gateway: only what is on the wire, on disk and
//! on the screen counts.

mod announced;
pub mod backend;
pub mod conformance;
pub mod drive;
pub mod evidence;
pub mod gateway;
pub mod install;
pub mod postgres;
pub mod upstream;
pub mod wire;

pub use announced::announced;
