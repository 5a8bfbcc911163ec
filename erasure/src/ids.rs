//! Run ids in bytes of no known form: as text, with hyphens or without, in either case, and as 16 bytes of the form of
//! RFC 9562. Other 16 bytes cannot be told from anything else; they are found where ids stand.

use std::io;
use std::path::Path;

use agenttracer_storage::disk::Disk;
use uuid::Uuid;

/// How much of a file is read in one go.
const PIECE_BYTES: usize = 1 << 20;
/// The longest form of an id: 8-4-4-4-12.
const TEXT_BYTES: usize = 36;

/// Calls `see` with each id in `bytes`.
pub(crate) fn each(bytes: &[u8], see: &mut dyn FnMut(Uuid)) {
    for at in 0..bytes.len().saturating_sub(15) {
        let found = [id_at(&bytes[at..]), text_at(&bytes[at..])];
        found.into_iter().flatten().for_each(&mut *see);
    }
}

/// Reads a file piece by piece, until `see` says `false`. Pieces overlap, so that an id lies whole in one of them.
pub(crate) fn in_file(disk: &dyn Disk, path: &Path, see: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
    let file = disk.open_read(path)?;
    let (mut offset, mut piece, mut kept) = (0, vec![0; PIECE_BYTES], 0);
    loop {
        let read = file.read_at(&mut piece[kept..], offset)?;
        if read == 0 {
            return Ok(());
        }
        offset += read as u64;
        if !see(&piece[..kept + read]) {
            return Ok(());
        }
        let keep = (TEXT_BYTES - 1).min(kept + read);
        piece.copy_within(kept + read - keep..kept + read, 0);
        kept = keep;
    }
}

/// Whether a file holds an id that `is_meant`.
pub(crate) fn are_in_file(disk: &dyn Disk, path: &Path, is_meant: &dyn Fn(Uuid) -> bool) -> io::Result<bool> {
    let mut found = false;
    in_file(disk, path, &mut |bytes| {
        each(bytes, &mut |run_id| found |= is_meant(run_id));
        !found
    })?;
    Ok(found)
}

/// The 16 bytes as an id, when they have the form of RFC 9562.
fn id_at(bytes: &[u8]) -> Option<Uuid> {
    let id: &[u8; 16] = bytes.first_chunk()?;
    ((1..=8).contains(&(id[6] >> 4)) && id[8] >> 6 == 2).then(|| Uuid::from_bytes(*id))
}

/// The id that the bytes begin with as text, with hyphens or without.
fn text_at(bytes: &[u8]) -> Option<Uuid> {
    if !bytes.first()?.is_ascii_hexdigit() {
        return None;
    }
    if bytes.get(8) == Some(&b'-') && bytes.get(13) == Some(&b'-') {
        return Uuid::try_parse_ascii(bytes.get(..TEXT_BYTES)?).ok();
    }
    let text = bytes.get(..32).filter(|text| text.iter().all(u8::is_ascii_hexdigit))?;
    Uuid::try_parse_ascii(text).ok()
}

#[cfg(test)]
mod tests {
    use agenttracer_storage::disk::SimDisk;

    use super::*;

    #[test]
    fn an_id_is_seen_in_every_form_that_it_is_written_in() {
        let id = Uuid::new_v4();
        assert_eq!(id_at(id.as_bytes()), Some(id));
        assert_eq!(text_at(id.to_string().as_bytes()), Some(id));
        assert_eq!(text_at(id.to_string().to_uppercase().as_bytes()), Some(id));
        assert_eq!(text_at(id.simple().to_string().as_bytes()), Some(id));
        assert_eq!(id_at(&[0; 16]), None);
        assert_eq!(text_at(b"0123"), None);
    }

    #[test]
    fn an_id_across_two_pieces_of_a_file_is_seen() {
        let (disk, path, id) = (SimDisk::new(1), Path::new("/data/file"), Uuid::new_v4());
        disk.create_dir_all(Path::new("/data")).unwrap();
        for at in [0, PIECE_BYTES - 36, PIECE_BYTES - 20, PIECE_BYTES - 1, PIECE_BYTES, 2 * PIECE_BYTES - 9] {
            for form in [id.as_bytes().to_vec(), id.to_string().into_bytes()] {
                let file = disk.create(path).unwrap();
                file.write_all_at(&vec![b' '; 3 * PIECE_BYTES], 0).unwrap();
                file.write_all_at(&form, at as u64).unwrap();
                let mut found = Vec::new();
                in_file(&disk, path, &mut |bytes| {
                    each(bytes, &mut |id| found.push(id));
                    true
                })
                .unwrap();
                assert!(found.contains(&id), "at {at}");
                disk.remove(path).unwrap();
            }
        }
    }
}
