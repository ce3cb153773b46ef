/// What may grow how far in a tree, and how it judges. Equal on all servers, but for `lookup_seed`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TreeLimits {
    /// The largest data of a node, and of all data of a multi together, in bytes.
    pub data_len: usize,
    /// How many operations a multi may have.
    pub multi_ops: usize,
    /// How many reads a [`Read::Many`](crate::types::Read::Many) may have.
    pub many_reads: usize,
    /// How much all of them may find together, in bytes: data, and names, paths and the text of ACLs with 16 each for the
    /// place in the list; a node that is counted is one. So few small requests cannot demand an answer of many gigabytes.
    /// A read that stands alone is not bound by it.
    pub many_bytes: usize,
    /// How many entries an ACL may have.
    pub acl_entries: usize,
    /// Whether hard quotas refuse writes; otherwise they only count, as soft ones do.
    pub enforce_quota: bool,
    /// Seeds the hash of the look-up table, so that nobody who does not know it can choose names that collide.
    /// It reaches no output: servers may differ in it.
    pub lookup_seed: u64,
}

impl Default for TreeLimits {
    /// One MiB of data, as ZooKeeper allows; hard quotas are enforced.
    fn default() -> Self {
        Self {
            data_len: 1 << 20,
            multi_ops: 1 << 16,
            many_reads: 1 << 14,
            // The largest data that a server may be configured to take, so that one read in a `Many` is never too much
            // for its data.
            many_bytes: 4 << 20,
            acl_entries: 1 << 10,
            enforce_quota: true,
            lookup_seed: 0,
        }
    }
}
