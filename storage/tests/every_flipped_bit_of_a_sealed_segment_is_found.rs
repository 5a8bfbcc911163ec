//! One bit at a time, in every byte of a sealed segment: verification names the file, the offset and a position, and every
//! batch that the bit does not belong to is still read and scanned. With `AGENTTRACER_PROVE` every bit of each byte in turn,
//! otherwise one.

mod common;

use agenttracer_model::Position;
use agenttracer_storage::{Log, ReadError};
use common::{Sim, payload};

#[test]
fn every_flipped_bit_of_a_sealed_segment_is_found() {
    let sim = Sim::new(1, 16 << 10);
    let (log, _) = sim.open().unwrap();
    // Lengths with and without padding, several groups, until the second segment begins.
    let mut stored = Vec::new();
    for i in 0_u32.. {
        let bytes = payload(u64::from(i), 600 + (i as usize * 37) % 200);
        stored.push((sim.append(&log, &bytes, 1 + i % 3).unwrap(), bytes));
        if sim.segments().len() == 3 {
            break;
        }
    }
    log.close().unwrap();
    assert!(sim.verify().is_sound());

    let sealed = sim.segments()[1].clone();
    let whole = sim.disk.content(&sealed).unwrap();
    let (first, last) = (stored[0].0, stored.last().unwrap().0);
    let prove = std::env::var_os("AGENTTRACER_PROVE").is_some();
    for offset in 0..whole.len() {
        for bit in (0..8).filter(|bit| prove || *bit == offset as u32 % 8) {
            sim.disk.flip_bit(&sealed, offset, bit);
            let report = sim.verify();
            let named = report.damage.iter().find(|damage| damage.file == sealed);
            let named = named.unwrap_or_else(|| panic!("bit {bit} of byte {offset} was not found"));
            assert!(named.offsets.contains(&(offset as u64)), "bit {bit} of byte {offset}: {named}");
            assert!(first <= named.positions.start && named.positions.start <= last, "byte {offset}: {named}");

            // What is read is the same for every bit of a byte, and for most bytes that stand together.
            if bit == offset as u32 % 8 && offset % 3 == 0 {
                let (log, recovery) = sim.open().unwrap();
                assert!(recovery.clean && recovery.cut.is_none(), "byte {offset}: {recovery}");
                let mut lost = 0;
                for (position, bytes) in &stored {
                    match log.read(*position) {
                        Ok(batch) => assert_eq!(&batch.payload[..], &bytes[..], "byte {offset}"),
                        Err(ReadError::Damaged(damage)) => {
                            assert!(damage.positions.contains(position), "byte {offset}: {damage}");
                            assert_eq!(damage.file, sealed);
                            lost += 1;
                        }
                        Err(error) => panic!("byte {offset}: {error}"),
                    }
                }
                assert!(lost <= 1, "byte {offset}: {lost} batches are lost");
                let scanned: Vec<_> = log.scan(Position::ZERO..log.tail()).filter_map(Result::ok).collect();
                assert_eq!(scanned.len(), stored.len() - lost, "byte {offset}");
                for batch in scanned {
                    let (_, bytes) = stored.iter().find(|(position, _)| *position == batch.position).unwrap();
                    assert_eq!(&batch.payload[..], &bytes[..], "byte {offset}");
                }
                log.close().unwrap();
            }
            sim.disk.flip_bit(&sealed, offset, bit);
        }
    }
    assert!(sim.verify().is_sound());
}
