//! Reading `.occ` files: at random, front to back, and to verify them. Every path decodes frames
//! through one [`FrameDecoder`].

mod attachment;
mod decode_all;
mod frame_decoder;
mod reader;
mod stream;
mod tensor;
mod verify;

pub use attachment::{Attachment, AttachmentKind};
pub(crate) use decode_all::Part;
pub use reader::Reader;
pub use stream::{DecodedTensor, StreamReader, StreamTensor};
pub use tensor::Tensor;
pub use verify::{VerifyOptions, VerifyReport, verify};
