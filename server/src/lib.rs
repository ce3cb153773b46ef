//! The `quorate` program: a coordination server that is run from a ZooKeeper `zoo.cfg`.
//!
//! | room | what it does |
//! |---|---|
//! | [`config`] | reads and judges the file: text in, a plan or a list of what is wrong out; pure |
//! | [`cli`] | the command line |
//! | [`run`] | one server in the foreground: storage, transport, node, listeners, signals |
//! | [`admin`] | HTTP: a page for people, ZooKeeper's commands, metrics, health |
//! | [`observe`] | what a server is seen to do: counts, spans, and the last ten minutes of them |
//! | [`up`] | a whole ensemble in one process, for development |
//! | [`process`] | servers in the background: `start`, `stop`, `restart`, `status` |
//! | [`shell`] | zkCli's commands, interactive or one at a time |

pub mod admin;
pub mod cli;
pub mod config;
pub mod observe;
pub mod process;
pub mod run;
pub mod shell;
pub mod up;
