//! Which devices a cgroup may use: lists in v1, a small program before each access in v2.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::fs::{FileTypeExt as _, MetadataExt as _},
    },
    path::Path,
};

use crate::container::Device;

/// One permission; `None` is any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rule {
    block: bool,
    major: Option<u32>,
    minor: Option<u32>,
    make: bool,
    read: bool,
    write: bool,
}

const fn rule(major: Option<u32>, minor: Option<u32>) -> Rule {
    Rule { block: false, major, minor, make: true, read: true, write: true }
}

/// Any device file may be made; of these may also be read and written: null, zero, full, random, urandom, tty, console, ptmx, terminals.
const STANDARD: &[Rule] = &[
    Rule { block: false, major: None, minor: None, make: true, read: false, write: false },
    Rule { block: true, major: None, minor: None, make: true, read: false, write: false },
    rule(Some(1), Some(3)),
    rule(Some(1), Some(5)),
    rule(Some(1), Some(7)),
    rule(Some(1), Some(8)),
    rule(Some(1), Some(9)),
    rule(Some(5), Some(0)),
    rule(Some(5), Some(1)),
    rule(Some(5), Some(2)),
    rule(Some(136), None),
];

fn rules(extra: &[Device]) -> io::Result<Vec<Rule>> {
    let mut rules = STANDARD.to_vec();
    for device in extra {
        let found = fs::metadata(&device.source)?;
        let number = found.rdev();
        let has = |letter| device.access.is_empty() || device.access.contains(letter);
        rules.push(Rule {
            block: found.file_type().is_block_device(),
            major: Some(rustix::fs::major(number)),
            minor: Some(rustix::fs::minor(number)),
            make: has('m'),
            read: has('r'),
            write: has('w'),
        });
    }
    Ok(rules)
}

/// Restricts a v1 cgroup, which is made if it is missing.
pub(super) fn restrict(folder: &Path, extra: &[Device]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut known = fs::read_to_string(folder.join("devices.list"))?;
    if known.starts_with('a') {
        fs::write(folder.join("devices.deny"), "a")?;
        known.clear();
    }
    let wanted = rules(extra)?.into_iter().map(words);
    // Most containers share one cgroup of devices, in which all of this was said before.
    let mut missing = wanted.filter(|words| !known.lines().any(|line| line == words));
    missing.try_for_each(|words| fs::write(folder.join("devices.allow"), words))
}

fn words(rule: Rule) -> String {
    let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
    let access: String =
        [(rule.read, 'r'), (rule.write, 'w'), (rule.make, 'm')].iter().filter(|one| one.0).map(|one| one.1).collect();
    format!("{} {}:{} {access}", if rule.block { 'b' } else { 'c' }, number(rule.major), number(rule.minor))
}

/// Puts a program before every device access of a v2 cgroup.
pub(super) fn attach(folder: &Path, extra: &[Device]) -> io::Result<()> {
    let program = load(&assemble(&rules(extra)?))?;
    let folder = File::open(folder)?;
    const ATTACH: libc::c_long = 8;
    const CGROUP_DEVICE: u32 = 6;
    const ALLOW_MULTI: u32 = 2;
    let numbers = [folder.as_raw_fd().cast_unsigned(), program.as_raw_fd().cast_unsigned(), CGROUP_DEVICE, ALLOW_MULTI];
    // SAFETY: the kernel reads as many bytes as the array has.
    let done = unsafe { libc::syscall(libc::SYS_bpf, ATTACH, numbers.as_ptr(), size_of_val(&numbers)) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Registers: 2 kind, 3 access, 4 major, 5 minor, 1 scratch. Each rule either returns 1 or leads to the next; the end returns 0.
fn assemble(rules: &[Rule]) -> Vec<u64> {
    const LOAD: u8 = 0x61;
    const AND: u8 = 0x54;
    const SHIFT: u8 = 0x74;
    const COPY: u8 = 0xbc;
    const SET: u8 = 0xb7;
    const UNLESS_NUMBER: u8 = 0x56;
    const UNLESS_REGISTER: u8 = 0x5e;
    const EXIT: u8 = 0x95;
    let one = |code: u8, to: u8, from: u8, offset: u8, number: u32| {
        u64::from(code) | u64::from(to) << 8 | u64::from(from) << 12 | u64::from(offset) << 16 | u64::from(number) << 32
    };
    let mut program = vec![
        one(LOAD, 2, 1, 0, 0),
        one(COPY, 3, 2, 0, 0),
        one(AND, 2, 0, 0, 0xffff),
        one(SHIFT, 3, 0, 0, 16),
        one(LOAD, 4, 1, 4, 0),
        one(LOAD, 5, 1, 8, 0),
    ];
    for rule in rules {
        let access = u32::from(rule.make) | u32::from(rule.read) << 1 | u32::from(rule.write) << 2;
        let numbers = [(4, rule.major), (5, rule.minor)].into_iter().filter_map(|(register, number)| Some((register, number?)));
        let numbers: Vec<(u8, u32)> = numbers.collect();
        let mut after = 5 + u8::try_from(numbers.len()).unwrap_or_default();
        program.push(one(UNLESS_NUMBER, 2, 0, after, if rule.block { 1 } else { 2 }));
        program.push(one(COPY, 1, 3, 0, 0));
        program.push(one(AND, 1, 0, 0, access));
        after -= 3;
        program.push(one(UNLESS_REGISTER, 1, 3, after, 0));
        for (register, number) in numbers {
            after -= 1;
            program.push(one(UNLESS_NUMBER, register, 0, after, number));
        }
        program.push(one(SET, 0, 0, 0, 1));
        program.push(one(EXIT, 0, 0, 0, 0));
    }
    program.push(one(SET, 0, 0, 0, 0));
    program.push(one(EXIT, 0, 0, 0, 0));
    program
}

fn load(program: &[u64]) -> io::Result<OwnedFd> {
    const LOAD: libc::c_long = 5;
    const CGROUP_DEVICE: u64 = 15;
    let length = u64::try_from(program.len()).unwrap_or_default();
    let licence = c"Apache-2.0";
    let attributes: [u64; 9] = [CGROUP_DEVICE | length << 32, program.as_ptr() as u64, licence.as_ptr() as u64, 0, 0, 0, 0, 0, 0];
    // SAFETY: the kernel reads as many bytes as the array has; program and licence outlive the call.
    let file = unsafe { libc::syscall(libc::SYS_bpf, LOAD, attributes.as_ptr(), size_of_val(&attributes)) };
    let file = i32::try_from(file).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    if file < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(file) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_worded_as_v1_reads_it() {
        let words: Vec<String> = STANDARD.iter().copied().map(words).collect();
        assert_eq!(words[..3], ["c *:* m", "b *:* m", "c 1:3 rwm"]);
        assert_eq!(words.last().map(String::as_str), Some("c 136:* rwm"));
    }

    /// What the program says, worked out by hand; the kernel's own check is in the tests that need root.
    #[test]
    fn every_jump_leads_to_the_next_rule() {
        let program = assemble(STANDARD);
        let mut starts = vec![6];
        for rule in STANDARD {
            starts.push(starts.last().expect("one") + 6 + usize::from(rule.major.is_some()) + usize::from(rule.minor.is_some()));
        }
        for (index, one) in program.iter().enumerate() {
            let code = one & 0xff;
            if code == 0x56 || code == 0x5e {
                let target = index + 1 + usize::try_from(one >> 16 & 0xffff).expect("small");
                assert!(starts.contains(&target), "the jump at {index} leads to {target}");
            }
        }
    }
}
