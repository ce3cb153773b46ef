//! The fields that records are made of.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::types::{Acl, AclEntry, Identity, Permissions, SessionId, Stat, WallTime, Zxid};

use super::{DecodeError, Decoder, Record};

/// Makes a record of the fields that it lists, in their order.
macro_rules! records {
    ($($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $kind),*
        }

        impl $crate::protocol::record::Record for $name {
            const MIN_LEN: usize = 0 $(+ <$kind as $crate::protocol::record::Record>::MIN_LEN)*;

            fn decode(
                input: &mut $crate::protocol::record::Decoder,
            ) -> Result<Self, $crate::protocol::record::DecodeError> {
                Ok(Self { $($field: $crate::protocol::record::Record::decode(input)?),* })
            }

            fn encode(&self, output: &mut bytes::BytesMut) {
                $($crate::protocol::record::Record::encode(&self.$field, output);)*
            }
        }
    )*};
}

pub(super) use records;

impl Record for bool {
    const MIN_LEN: usize = 1;

    fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        input.boolean()
    }

    fn encode(&self, output: &mut BytesMut) {
        output.put_u8(u8::from(*self));
    }
}

impl Record for i32 {
    const MIN_LEN: usize = 4;

    fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        input.int()
    }

    fn encode(&self, output: &mut BytesMut) {
        output.put_i32(*self);
    }
}

impl Record for i64 {
    const MIN_LEN: usize = 8;

    fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        input.long()
    }

    fn encode(&self, output: &mut BytesMut) {
        output.put_i64(*self);
    }
}

/// A buffer; null and empty are told apart.
impl Record for Option<Bytes> {
    const MIN_LEN: usize = 4;

    fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        input.buffer()
    }

    fn encode(&self, output: &mut BytesMut) {
        put_slice(output, self.as_deref());
    }
}

/// A string; null and empty are told apart.
impl Record for Option<Box<str>> {
    const MIN_LEN: usize = 4;

    fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(input.buffer()?.map(|text| text_of(&text)))
    }

    fn encode(&self, output: &mut BytesMut) {
        put_slice(output, self.as_deref().map(str::as_bytes));
    }
}

/// A string; null is taken for an empty one.
impl Record for Box<str> {
    const MIN_LEN: usize = 4;

    fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(input.buffer()?.map_or_else(Self::default, |text| text_of(&text)))
    }

    fn encode(&self, output: &mut BytesMut) {
        put_slice(output, Some(self.as_bytes()));
    }
}

/// A vector; null is taken for an empty one.
impl<T: Record> Record for Vec<T> {
    const MIN_LEN: usize = 4;

    fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        let count = match input.int()? {
            -1 => return Ok(Self::new()),
            count => count,
        };
        let items = usize::try_from(count).map_err(|_| DecodeError::Length(count))?;
        let left = input.remaining();
        if items.saturating_mul(T::MIN_LEN.max(1)) > left {
            return Err(DecodeError::Count { count, left });
        }
        let mut all = Self::with_capacity(items);
        for _ in 0..items {
            all.push(T::decode(input)?);
        }
        Ok(all)
    }

    fn encode(&self, output: &mut BytesMut) {
        put_length(output, self.len());
        for item in self {
            item.encode(output);
        }
    }
}

impl Record for Zxid {
    const MIN_LEN: usize = 8;

    fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self::from_u64(input.long()?.cast_unsigned()))
    }

    fn encode(&self, output: &mut BytesMut) {
        output.put_u64(self.as_u64());
    }
}

impl Record for SessionId {
    const MIN_LEN: usize = 8;

    fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self::from_u64(input.long()?.cast_unsigned()))
    }

    fn encode(&self, output: &mut BytesMut) {
        output.put_u64(self.as_u64());
    }
}

impl Record for WallTime {
    const MIN_LEN: usize = 8;

    fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self::from_millis(input.long()?))
    }

    fn encode(&self, output: &mut BytesMut) {
        output.put_i64(self.as_millis());
    }
}

/// The 68 bytes of ZooKeeper's `Stat`.
impl Record for Stat {
    const MIN_LEN: usize = 68;

    fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        let (czxid, mzxid) = (Record::decode(input)?, Record::decode(input)?);
        let (ctime, mtime) = (Record::decode(input)?, Record::decode(input)?);
        let (version, cversion, aversion) = (input.int()?, input.int()?, input.int()?);
        let ephemeral_owner = Record::decode(input)?;
        let (data_length, num_children) = (input.int()?, input.int()?);
        let pzxid = Record::decode(input)?;
        Ok(Self {
            czxid,
            mzxid,
            pzxid,
            ctime,
            mtime,
            version,
            cversion,
            aversion,
            ephemeral_owner,
            data_length,
            num_children,
        })
    }

    fn encode(&self, output: &mut BytesMut) {
        self.czxid.encode(output);
        self.mzxid.encode(output);
        self.ctime.encode(output);
        self.mtime.encode(output);
        self.version.encode(output);
        self.cversion.encode(output);
        self.aversion.encode(output);
        self.ephemeral_owner.encode(output);
        self.data_length.encode(output);
        self.num_children.encode(output);
        self.pzxid.encode(output);
    }
}

/// `Id`, and `ClientInfo`, which has the same form.
impl Record for Identity {
    const MIN_LEN: usize = 8;

    fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        let (scheme, id) = (Box::<str>::decode(input)?, Box::<str>::decode(input)?);
        Ok(Self { scheme: scheme.into(), id: id.into() })
    }

    fn encode(&self, output: &mut BytesMut) {
        put_slice(output, Some(self.scheme.as_bytes()));
        put_slice(output, Some(self.id.as_bytes()));
    }
}

impl Record for AclEntry {
    const MIN_LEN: usize = 4 + Identity::MIN_LEN;

    fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        let permissions = Permissions::from_bits(input.int()?.cast_unsigned());
        Ok(Self { permissions, identity: Record::decode(input)? })
    }

    fn encode(&self, output: &mut BytesMut) {
        output.put_u32(self.permissions.bits());
        self.identity.encode(output);
    }
}

impl Record for Acl {
    const MIN_LEN: usize = 4;

    fn decode(input: &mut Decoder) -> Result<Self, DecodeError> {
        Vec::<AclEntry>::decode(input).map(Self::new)
    }

    fn encode(&self, output: &mut BytesMut) {
        put_length(output, self.entries().len());
        for entry in self.entries() {
            entry.encode(output);
        }
    }
}

/// What is not UTF-8 becomes U+FFFD, as in ZooKeeper; no path may hold that character.
fn text_of(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).into()
}

fn put_slice(output: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        None => output.put_i32(-1),
        Some(bytes) => {
            put_length(output, bytes.len());
            output.put_slice(bytes);
        }
    }
}

/// Nothing that large is ever put into a frame: requests and data are bounded far below.
fn put_length(output: &mut BytesMut, length: usize) {
    output.put_i32(i32::try_from(length).unwrap_or(i32::MAX));
}
