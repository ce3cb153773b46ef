use std::io;

/// Entropy of the operating system: a seed for a [`PeerConfig`](crate::peer::PeerConfig) or a client, to be drawn
/// anew at every start.
///
/// # Errors
///
/// When the operating system has none to give.
pub fn entropy() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(seed)
}
