//! Archives that want to be unpacked elsewhere.

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

const CHART: &str = "apiVersion: v2\nname: evil\nversion: 1.0.0\n";

/// An entry whose name nobody looked at.
fn entry(archive: &mut Builder<GzEncoder<Vec<u8>>>, name: &str, kind: EntryType, data: &[u8]) {
    let mut header = Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    if kind == EntryType::Symlink {
        header.set_link_name("/tmp").expect("a link");
    }
    header.set_size(data.len() as u64);
    header.set_cksum();
    archive.append(&header, data).expect("an entry");
}

fn pack(chart: &str, others: &[(&str, EntryType)]) -> Vec<u8> {
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    entry(&mut archive, "evil/Chart.yaml", EntryType::Regular, chart.as_bytes());
    for (name, kind) in others {
        let data: &[u8] = if *kind == EntryType::Symlink { b"" } else { b"escaped" };
        entry(&mut archive, name, *kind, data);
    }
    archive.into_inner().and_then(GzEncoder::finish).expect("an archive")
}

/// By what they try.
pub fn archives() -> Vec<(&'static str, Vec<u8>)> {
    let file = EntryType::Regular;
    vec![
        ("parent", pack(CHART, &[("evil/../../escaped", file)])),
        ("absolute", pack(CHART, &[("evil//escaped", file)])),
        ("windows", pack(CHART, &[("evil\\..\\..\\escaped", file)])),
        ("dots", pack(CHART, &[("evil/templates/../../../escaped", file)])),
        ("named", pack(&CHART.replace("name: evil", "name: ../escaped"), &[])),
        ("link", pack(CHART, &[("evil/way", EntryType::Symlink), ("evil/way/escaped", file)])),
        ("nameless", pack(&CHART.replace("name: evil", "name: ''"), &[])),
    ]
}
