//! One binary for every black-box suite, so that the foreign software is linked and looked for once.

#[cfg(test)]
mod anchors;
#[cfg(test)]
mod approvals;
#[cfg(test)]
mod attacks;
#[cfg(test)]
mod authority;
#[cfg(test)]
mod backup;
#[cfg(test)]
mod broker;
#[cfg(test)]
mod catalogs;
#[cfg(test)]
mod channels;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod console;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod crowd;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod direct;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod erasing;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod exports;
#[cfg(test)]
mod families;
#[cfg(test)]
mod fresh;
#[cfg(test)]
mod full;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod listen;
#[cfg(test)]
mod login;
#[cfg(test)]
mod notify;
#[cfg(test)]
mod offers;
#[cfg(test)]
mod pack;
#[cfg(test)]
mod packaging;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod passkeys;
#[cfg(test)]
mod personal;
#[cfg(test)]
mod pipes;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod rmcp;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod shadow;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod sinks;
#[cfg(test)]
mod stdio;
#[cfg(test)]
mod telemetry;
#[cfg(test)]
mod threat_model;
#[cfg(test)]
mod touched;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod world;
