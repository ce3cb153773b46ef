//! The `quorate` program: a coordination server that is run from a ZooKeeper `zoo.cfg`.
//!
//! | room | what it does |
//! |---|---|
//! | [`config`] | reads and judges the file: text in, a plan or a list of what is wrong out; pure |
//! | [`cli`] | the command line |
//! | [`run`] | one server in the foreground: storage, transport, node, listeners, signals |
//! | [`process`] | servers in the background: `start`, `stop`, `restart`, `status` |
//! | [`shell`] | zkCli's commands, interactive or one at a time |

pub mod cli;
pub mod config;
pub mod process;
pub mod run;
pub mod shell;
