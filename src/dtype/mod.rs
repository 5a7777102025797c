//! Element types: the 22 of safetensors, with their ids in the format.

pub(crate) mod number;

use crate::error::Error;
use std::fmt;
use std::str::FromStr;

macro_rules! dtypes {
    ($($(#[$doc:meta])* $variant:ident = $id:literal, $name:literal, $bits:literal;)*) => {
        /// The type of a tensor's elements.
        ///
        /// The 22 types of safetensors, with the same names ([`Dtype::name`]). They are also the
        /// form in JSON and other formats of `serde`, with the feature `encode`.
        ///
        /// ```
        /// use occ::Dtype;
        /// let dtype: Dtype = "BF16".parse()?;
        /// assert_eq!((dtype, dtype.bits()), (Dtype::Bf16, 16));
        /// # Ok::<(), occ::Error>(())
        /// ```
        #[allow(non_camel_case_types)] // F8_E4M3 is the established spelling
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "encode", derive(serde::Serialize, serde::Deserialize))]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Dtype {
            $(
                $(#[$doc])*
                #[cfg_attr(feature = "encode", serde(rename = $name))]
                $variant = $id,
            )*
        }

        impl Dtype {
            /// Every type, in the order of their ids.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The type with this id in the format, or `None`.
            pub const fn from_id(id: u8) -> Option<Self> {
                match id { $($id => Some(Self::$variant),)* _ => None }
            }

            /// The name of the type in safetensors, for example `BF16`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Bits of one element: 4, 6, 8, 16, 32 or 64.
            pub const fn bits(self) -> u32 {
                match self { $(Self::$variant => $bits,)* }
            }
        }
    };
}

dtypes! {
    /// One byte, 0 or 1.
    Bool = 1, "BOOL", 8;
    /// 4-bit float E2M1 (OCP MX), two per byte.
    F4 = 2, "F4", 4;
    /// 6-bit float E2M3 (OCP MX), four per three bytes.
    F6_E2M3 = 3, "F6_E2M3", 6;
    /// 6-bit float E3M2 (OCP MX), four per three bytes.
    F6_E3M2 = 4, "F6_E3M2", 6;
    /// Unsigned byte.
    U8 = 5, "U8", 8;
    /// Signed byte.
    I8 = 6, "I8", 8;
    /// 8-bit float E5M2.
    F8_E5M2 = 7, "F8_E5M2", 8;
    /// 8-bit float E4M3.
    F8_E4M3 = 8, "F8_E4M3", 8;
    /// 8-bit scale E8M0 (OCP MX).
    F8_E8M0 = 9, "F8_E8M0", 8;
    /// 8-bit float E4M3 without infinities and negative zero.
    F8_E4M3Fnuz = 10, "F8_E4M3FNUZ", 8;
    /// 8-bit float E5M2 without infinities and negative zero.
    F8_E5M2Fnuz = 11, "F8_E5M2FNUZ", 8;
    /// Signed 16-bit integer.
    I16 = 12, "I16", 16;
    /// Unsigned 16-bit integer.
    U16 = 13, "U16", 16;
    /// IEEE 754 binary16.
    F16 = 14, "F16", 16;
    /// bfloat16: the upper half of a binary32.
    Bf16 = 15, "BF16", 16;
    /// Signed 32-bit integer.
    I32 = 16, "I32", 32;
    /// Unsigned 32-bit integer.
    U32 = 17, "U32", 32;
    /// IEEE 754 binary32.
    F32 = 18, "F32", 32;
    /// Complex number: two IEEE 754 binary32.
    C64 = 19, "C64", 64;
    /// IEEE 754 binary64.
    F64 = 20, "F64", 64;
    /// Signed 64-bit integer.
    I64 = 21, "I64", 64;
    /// Unsigned 64-bit integer.
    U64 = 22, "U64", 64;
}

impl Dtype {
    /// The type's id in the format.
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// Bytes of `elements` elements, or `None` if they overflow a `u64` or are not whole bytes.
    ///
    /// ```
    /// use occ::Dtype;
    /// assert_eq!(Dtype::F4.byte_len(6), Some(3));
    /// assert_eq!(Dtype::F4.byte_len(7), None);
    /// ```
    pub const fn byte_len(self, elements: u64) -> Option<u64> {
        let bits = elements as u128 * self.bits() as u128;
        if bits.is_multiple_of(8) && bits / 8 <= u64::MAX as u128 {
            Some((bits / 8) as u64)
        } else {
            None
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Dtype {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|dtype| dtype.name() == name)
            .ok_or_else(|| Error::unsupported(format!("dtype `{name}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_are_unique() {
        assert_eq!(Dtype::ALL.len(), 22);
        for (position, &dtype) in Dtype::ALL.iter().enumerate() {
            assert_eq!(usize::from(dtype.id()), position + 1);
            assert_eq!(Dtype::from_id(dtype.id()), Some(dtype));
            assert_eq!(dtype.name().parse::<Dtype>().unwrap(), dtype);
            #[cfg(feature = "encode")]
            assert_eq!(serde_json::to_value(dtype).unwrap(), dtype.name());
            #[cfg(feature = "encode")]
            assert_eq!(serde_json::from_value::<Dtype>(dtype.name().into()).unwrap(), dtype);
        }
        assert_eq!(Dtype::from_id(0), None);
        assert_eq!(Dtype::from_id(23), None);
    }

    #[test]
    fn byte_len_rejects_partial_bytes_and_overflow() {
        assert_eq!(Dtype::F6_E2M3.byte_len(4), Some(3));
        assert_eq!(Dtype::F6_E2M3.byte_len(2), None);
        assert_eq!(Dtype::U8.byte_len(u64::MAX), Some(u64::MAX));
        assert_eq!(Dtype::U16.byte_len(u64::MAX), None);
    }
}
