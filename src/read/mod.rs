//! Reading `.occ` files: with random access, front to back, and for verification. All of them
//! decode chunks by [`FrameDecoder`](frame_decoder::FrameDecoder).

mod attachment;
mod container;
#[cfg(feature = "convert")]
mod decode_all;
mod decode_object;
mod decode_spans;
mod decode_stream;
mod element;
mod frame_decoder;
mod indexed_frame;
mod pieces;
mod reader;
mod reference;
mod similar;
mod spans;
#[cfg(feature = "convert")]
mod stored_frame;
mod stored_object;
mod stream;
mod stream_tensor;
mod tensor;
mod verify;

pub use attachment::{Attachment, AttachmentKind};
#[cfg(feature = "convert")]
pub(crate) use decode_all::Part;
pub use element::Element;
pub use reader::Reader;
#[cfg(feature = "convert")]
pub(crate) use stored_frame::StoredFrame;
pub use stream::StreamReader;
pub use stream_tensor::{DecodedTensor, StreamTensor};
pub use tensor::Tensor;
pub use verify::{VerifyOptions, VerifyReport, verify};
