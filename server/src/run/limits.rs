use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets the process open as many files and sockets as the system allows it: the limit that it begins with is often 1024, and
/// each client takes one.
pub(super) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => tracing::debug!(?current, ?maximum, "more files may be open"),
        Err(error) => tracing::warn!("no more than {current:?} files and sockets can be open: {error}"),
    }
}
