//! Numbers as bincode 2 writes them: below 251 one byte; 251, 252, 253 announce 2, 4, 8 bytes.

/// Appends a number.
pub(crate) fn put_varint(bytes: &mut Vec<u8>, value: u64) {
    if value < 251 {
        bytes.push(value as u8);
    } else if let Ok(value) = u16::try_from(value) {
        bytes.push(251);
        bytes.extend_from_slice(&value.to_le_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        bytes.push(252);
        bytes.extend_from_slice(&value.to_le_bytes());
    } else {
        bytes.push(253);
        bytes.extend_from_slice(&value.to_le_bytes());
    }
}

/// How many bytes [`put_varint`] appends.
pub(crate) fn varint_bytes(value: u64) -> usize {
    match value {
        0..251 => 1,
        251..0x1_0000 => 3,
        0x1_0000..0x1_0000_0000 => 5,
        _ => 9,
    }
}

/// Takes a number from the front of `bytes`; `None` when there is none. It may be longer than [`put_varint`] writes it.
pub(crate) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    match take::<1>(bytes)? {
        [251] => take(bytes).map(|head| u64::from(u16::from_le_bytes(head))),
        [252] => take(bytes).map(|head| u64::from(u32::from_le_bytes(head))),
        [253] => take(bytes).map(u64::from_le_bytes),
        [254 | 255] => None,
        [small] => Some(u64::from(small)),
    }
}

/// Takes so many bytes from the front of `bytes`.
pub(crate) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

/// 0, -1, 1, -2 are 0, 1, 2, 3.
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// What [`zigzag`] was given.
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_bincode() {
        for value in [0, 250, 251, 65_535, 65_536, u64::from(u32::MAX), 1 << 32, u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert_eq!(bytes, bincode::encode_to_vec(value, bincode::config::standard()).unwrap());
            assert_eq!((bytes.len(), take_varint(&mut &bytes[..])), (varint_bytes(value), Some(value)));
        }
        for value in [0, 1, -1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
    }
}
