//! What a service manager is told (`sd_notify`), if there is one that wants to know.

use std::os::unix::net::UnixDatagram;

use crate::config::environment;

/// Calls are answered.
pub(crate) const READY: &str = "READY=1";
/// It was told to stop.
pub(crate) const STOPPING: &str = "STOPPING=1";

/// Tells it. Nobody who does not hear it keeps the gateway from its work.
pub(crate) fn tell(state: &str) {
    let Ok(place) = environment("NOTIFY_SOCKET") else { return };
    let told = UnixDatagram::unbound().and_then(|socket| send(&socket, state, &place));
    if let Err(error) = told {
        tracing::warn!(%error, place, "the service manager cannot be told `{state}`");
    }
}

fn send(socket: &UnixDatagram, state: &str, place: &str) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    if let Some(name) = place.strip_prefix('@') {
        use std::os::linux::net::SocketAddrExt as _;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        return socket.send_to_addr(state.as_bytes(), &address).map(drop);
    }
    socket.send_to(state.as_bytes(), place).map(drop)
}
