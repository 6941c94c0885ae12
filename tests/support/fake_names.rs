//! Names of a test's own: what each stands for, and who was asked for how often.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;

use shalefs::source::{Lookup, SystemLookup};

/// Answers for each name in turn; the last answer stays.
#[derive(Debug, Default)]
pub struct FakeNames {
    answers: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    asked: Mutex<Vec<String>>,
}

impl FakeNames {
    /// `NAME ADDRESS,ADDRESS ADDRESS`: two addresses at first, later another one.
    pub fn new(lines: &[&str]) -> Self {
        let names = Self::default();
        for line in lines {
            let mut words = line.split(' ');
            let name = words.next().expect("a name").to_owned();
            let addresses = |word: &str| word.split(',').map(|a| a.parse().expect(a)).collect();
            let answers = words.map(addresses).collect();
            names.answers.lock().expect("no test panics here").insert(name, answers);
        }
        names
    }

    /// How often a name was asked for.
    pub fn asked(&self, name: &str) -> usize {
        let asked = self.asked.lock().expect("no test panics here");
        asked.iter().filter(|one| *one == name).count()
    }
}

impl Lookup for FakeNames {
    fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.asked.lock().expect("no test panics here").push(host.to_owned());
        let mut answers = self.answers.lock().expect("no test panics here");
        if let Some(answers) = answers.get_mut(host) {
            let next = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
            return Ok(next.into_iter().map(|address| SocketAddr::new(address, port)).collect());
        }
        // Spelled addresses are the system's to read; names of the world are nobody's here.
        match host.contains(|c: char| c.is_ascii_alphabetic() && !c.is_ascii_hexdigit() && c != 'x')
        {
            true => Err(io::Error::other("failed to lookup address information: no such name")),
            false => SystemLookup.lookup(host, port),
        }
    }
}
