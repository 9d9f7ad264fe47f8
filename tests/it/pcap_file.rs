//! What we need of the `pcap-file` release we use, and the reason for choosing it.

use pcap_file::pcap::{PcapParser, PcapReader};

use crate::support;

/// Release 2.0.0 answers every packet of this capture with `orig_len > snap_len` and does not move on,
/// so that `while let Some(packet) = reader.next_packet()` never ends.
#[test]
fn packets_cut_by_a_snap_length_are_read() {
    let file = std::fs::File::open(support::capture("snaplen-96.pcap")).unwrap();
    let mut reader = PcapReader::new(file).unwrap();
    let (mut packets, mut cut) = (0, 0);
    while let Some(packet) = reader.next_packet() {
        let packet = packet.expect("a packet that is longer than the snap length");
        packets += 1;
        cut += usize::from(packet.orig_len() > packet.len());
    }
    assert!(packets > 10 && cut > 2, "{packets} packets, {cut} cut");
}

/// Raw packets have no opinion on lengths: real files have records longer than the file's snap length,
/// and wire lengths below the captured length.
#[test]
fn raw_packets_are_read_whatever_their_lengths_say() {
    let mut bytes = support::pcap(101, &[&[0x45; 40]]);
    bytes[16..20].copy_from_slice(&8_u32.to_le_bytes()); // snap length 8
    bytes[36..40].copy_from_slice(&4_u32.to_le_bytes()); // wire length 4
    let (rest, parser) = PcapParser::new(&bytes).unwrap();
    assert!(parser.next_packet(rest).is_err());
    let (_, raw) = parser.next_raw_packet(rest).unwrap();
    assert_eq!((raw.incl_len, raw.orig_len), (40, 4));
}
