use bytes::{Bytes, BytesMut};
use quorate::client::digest_identity;
use quorate::protocol::record::{
    Call, ConnectRequest, ConnectResponse, CreateRequest, DataResponse, Decoder, PathRequest, ReadRequest,
    Record, ReplyHeader, RequestHeader, SetAclRequest, SetDataRequest, encode_frame,
};
use quorate::{Acl, AclEntry, Permissions, SessionId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::harness::until;

/// A client on one connection, as small as can be; a broken connection is `None`.
pub(crate) struct Client {
    stream: TcpStream,
    xid: i32,
}

impl Client {
    /// Connects as soon as the server takes clients.
    pub(crate) async fn connect(port: u16) -> Self {
        until("a client has a session", || Self::attach(port)).await
    }

    async fn attach(port: u16) -> Option<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let mut client = Self { stream, xid: 0 };
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: 0,
            timeout: 10_000,
            session: SessionId::NONE,
            password: Some(Bytes::from_static(&[0; 16])),
            read_only: Some(false),
        };
        let mut frame = BytesMut::new();
        encode_frame(&mut frame, |output| request.encode(output));
        client.stream.write_all(&frame).await.ok()?;
        let response = ConnectResponse::decode(&mut client.frame().await?).ok()?;
        (response.session != SessionId::NONE).then_some(client)
    }

    /// The reply to a call: the error code, and what follows the header.
    async fn call(&mut self, call: &Call) -> Option<(i32, Decoder)> {
        self.xid += 1;
        let header = RequestHeader { xid: self.xid, op: call.op() };
        let mut frame = BytesMut::new();
        encode_frame(&mut frame, |output| {
            header.encode(output);
            call.encode(output);
        });
        self.stream.write_all(&frame).await.ok()?;
        let mut reply = self.frame().await?;
        let header = ReplyHeader::decode(&mut reply).ok()?;
        assert_eq!(header.xid, self.xid, "replies come in order");
        Some((header.err, reply))
    }

    pub(crate) async fn create(&mut self, path: &str, data: &'static [u8]) -> Option<i32> {
        let acl = Acl::open();
        let request =
            CreateRequest { path: path.into(), data: Some(Bytes::from_static(data)), acl, flags: 0 };
        Some(self.call(&Call::Create(request)).await?.0)
    }

    pub(crate) async fn set(&mut self, path: &str, data: &'static [u8]) -> Option<i32> {
        let request = SetDataRequest { path: path.into(), data: Some(Bytes::from_static(data)), version: -1 };
        Some(self.call(&Call::SetData(request)).await?.0)
    }

    /// Leaves a node to those who know a password.
    pub(crate) async fn close_to_others(&mut self, path: &str) -> Option<i32> {
        let entry = AclEntry { permissions: Permissions::ALL, identity: digest_identity("ann:secret") };
        let request = SetAclRequest { path: path.into(), acl: Acl::new([entry]), version: -1 };
        Some(self.call(&Call::SetAcl(request)).await?.0)
    }

    pub(crate) async fn sync(&mut self) -> Option<i32> {
        Some(self.call(&Call::Sync(PathRequest { path: "/".into() })).await?.0)
    }

    pub(crate) async fn get(&mut self, path: &str) -> Option<Result<Vec<u8>, i32>> {
        let request = ReadRequest { path: path.into(), watch: false };
        let (error, mut reply) = self.call(&Call::GetData(request)).await?;
        if error != 0 {
            return Some(Err(error));
        }
        let data = DataResponse::decode(&mut reply).ok()?.data;
        Some(Ok(data.unwrap_or_default().to_vec()))
    }

    async fn frame(&mut self) -> Option<Decoder> {
        let len = self.stream.read_i32().await.ok()?;
        let mut frame = vec![0; usize::try_from(len).ok()?];
        self.stream.read_exact(&mut frame).await.ok()?;
        Some(Decoder::new(frame.into()))
    }
}
