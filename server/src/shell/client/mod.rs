//! A blocking client of ZooKeeper's protocol: one session over a list of servers, kept alive by a thread of its own,
//! taken up again after a lost connection with its credentials and watches.

mod calls;
mod code;
mod driver;
#[cfg(test)]
mod driver_tests;
mod event;
mod path;
mod servers;
mod status;
mod watches;
mod wire;
#[cfg(test)]
mod wire_tests;

use std::io;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use quorate::protocol::record::{Call, Decoder, Record};
use tokio::sync::mpsc::UnboundedSender;

pub(crate) use calls::{CreateKind, Fault};
pub(crate) use code::KeeperCode;
pub(crate) use event::Event;
pub(crate) use path::BadPath;
pub(crate) use servers::{BadConnectString, ConnectString};
pub(crate) use status::{Listener, State};
pub(crate) use watches::WatchTarget;

use driver::{Driver, Order, Settings};
use status::Status;

/// A session with an ensemble.
pub(crate) struct Client {
    connect: ConnectString,
    orders: UnboundedSender<Order>,
    status: Status,
    driver: Mutex<Option<JoinHandle<()>>>,
}

/// An answer that is on its way.
#[must_use]
pub(crate) struct Pending(mpsc::Receiver<Result<Bytes, KeeperCode>>);

impl Client {
    /// Begins to connect, and to keep a session of `timeout`. Does not wait: calls do, until there is a connection or every
    /// server has been tried.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub(crate) fn open(
        connect: ConnectString,
        timeout: Duration,
        read_only: bool,
        listener: Listener,
    ) -> io::Result<Self> {
        let (orders, receiver) = tokio::sync::mpsc::unbounded_channel();
        let status = Status::new(listener, connect.chroot.clone());
        let settings = Settings { servers: connect.servers.clone(), session_timeout: timeout, read_only };
        let driver = Driver::new(settings, receiver, status.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let driver = std::thread::Builder::new()
            .name("session".into())
            .spawn(move || runtime.block_on(driver.run()))?;
        Ok(Self { connect, orders, status, driver: Mutex::new(Some(driver)) })
    }

    /// Where it connects.
    pub(crate) fn connect_string(&self) -> &ConnectString {
        &self.connect
    }

    /// How it stands.
    pub(crate) fn state(&self) -> State {
        self.status.state()
    }

    /// Waits for so long at most until it is connected, or never will be.
    pub(crate) fn await_connection(&self, patience: Duration) -> State {
        self.status.await_connection(patience)
    }

    /// Ends the session; its ephemeral nodes go. Calls after that fail.
    pub(crate) fn close(&self) {
        self.end(Order::Close);
    }

    /// Goes without a word: the session, and its ephemeral nodes, stay until it times out.
    pub(crate) fn abandon(&self) {
        self.end(Order::Abandon);
    }

    fn submit(&self, call: Call) -> Pending {
        let (answer, receiver) = mpsc::channel();
        // An order that cannot be sent is dropped with its answer, which tells the receiver.
        let _ = self.orders.send(Order::Call(call, answer));
        Pending(receiver)
    }

    fn end(&self, order: Order) {
        // A driver that has ended takes no orders, and needs none.
        let _ = self.orders.send(order);
        let driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(driver) = driver {
            // One that panicked has nothing left to end.
            let _ = driver.join();
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.end(Order::Close);
    }
}

impl Pending {
    /// Waits for the answer.
    ///
    /// # Errors
    ///
    /// The server's refusal, or that there will be no answer.
    fn wait(self) -> Result<Bytes, KeeperCode> {
        self.0.recv().unwrap_or(Err(KeeperCode::CONNECTION_LOSS))
    }

    /// Waits for the answer, which is such a record.
    fn record<R: Record>(self) -> Result<R, KeeperCode> {
        let body = self.wait()?;
        R::decode(&mut Decoder::new(body)).map_err(|_| KeeperCode::MARSHALLING_ERROR)
    }
}
