//! The codec of every call: protobuf, with a bound on what a message may become in memory.
//!
//! The bytes of a message are bounded before; but empty messages within it take two bytes each on
//! the wire and some hundred in memory, so they are counted before anything is made of them.

use std::fmt;
use std::marker::PhantomData;

use bytes::Buf as _;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};

use crate::limits::MESSAGE_PARTS_MAX;
use crate::model::parts::{self, Unfit};

/// Writes `T`, reads `U`.
pub struct BoundedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> fmt::Debug for BoundedCodec<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoundedCodec")
    }
}

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: prost::Message + Send + 'static,
    U: prost::Message + prost::Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(PhantomData)
    }
}

/// Reads `U`.
pub struct BoundedDecoder<U>(PhantomData<U>);

impl<U> fmt::Debug for BoundedDecoder<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoundedDecoder")
    }
}

impl<U> Decoder for BoundedDecoder<U>
where
    U: prost::Message + prost::Name + Default + Send + 'static,
{
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        match parts::judge_in::<U>(&bytes, MESSAGE_PARTS_MAX) {
            Ok(()) => {}
            Err(Unfit::TooMany) => {
                return Err(Status::resource_exhausted(format!(
                    "the message holds more than {MESSAGE_PARTS_MAX} messages within it"
                )));
            }
            Err(Unfit::Broken) => {
                return Err(Status::internal(
                    "failed to decode: a message within it ends in the middle of a field",
                ));
            }
        }
        U::decode(bytes)
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}
