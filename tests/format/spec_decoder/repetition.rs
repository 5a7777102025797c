//! The codec repetition (7.6).

use super::dictionary::Dictionary;
use super::planes::read_planes_params;
use super::{CodecParams, Cursor, DICTIONARY, PLANES, RAW, Res, ensure, to_size};

pub(super) fn read_repetition_params(params: &[u8], dtype: u8) -> Res<CodecParams> {
    let mut input = Cursor { bytes: params, at: 0 };
    let row = to_size(input.u32()?.into())?;
    ensure(row > 0, "rows without bytes")?;
    let inner = match input.u8()? {
        RAW => {
            input.finish("the codec parameters")?;
            CodecParams::Raw
        }
        PLANES => CodecParams::Planes(read_planes_params(input.rest(), dtype)?),
        DICTIONARY => CodecParams::Dictionary(Dictionary::read(input.rest(), dtype)?),
        _ => return Err("not a codec for rows".into()),
    };
    Ok(CodecParams::Repetition(row, Box::new(inner)))
}

/// Decodes the coded bytes of a chunk to its `len` decoded bytes.
pub(super) fn decode_repetition(
    row: usize,
    inner: &CodecParams,
    dtype: u8,
    coded: &[u8],
    len: usize,
) -> Res<Vec<u8>> {
    let mut input = Cursor { bytes: coded, at: 0 };
    let count = input.u32()?;
    let mut runs = input.part(count.into(), 12)?;
    let (mut rows, mut new_rows) = (Vec::new(), 0usize);
    while !runs.rest().is_empty() {
        let [new, copies, source] = [runs.u32()?, runs.u32()?, runs.u32()?];
        let count = rows.len() as u64 + u64::from(new) + u64::from(copies);
        ensure(count <= len.div_ceil(row) as u64, "more rows than in the chunk")?;
        for _ in 0..new {
            rows.push(None);
            new_rows += 1;
        }
        for i in 0..copies as usize {
            let source = to_size(source.into())? + i;
            ensure(source < rows.len(), "a copy of a later row")?;
            rows.push(Some(source));
        }
    }
    ensure(rows.len() == len.div_ceil(row), "fewer rows than in the chunk")?;
    let short = len % row;
    ensure(short == 0 || rows.last() == Some(&None), "a copy of a row that is not whole")?;
    let missing = if short == 0 { 0 } else { row - short };
    let new = inner.decode(dtype, input.rest(), new_rows * row - missing)?;
    let (mut new, mut decoded) = (new.chunks(row), Vec::new());
    for source in rows {
        match source {
            None => decoded.extend_from_slice(new.next().ok_or("too few rows")?),
            Some(i) => decoded.extend_from_within(i * row..(i + 1) * row),
        }
    }
    Ok(decoded)
}
