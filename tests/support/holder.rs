//! The holder in a namespace of the test's own, spoken to in its protocol.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use tikv_chaos::{
    chaos::{InjectionId, network::NetworkFault},
    holder::protocol::{Answer, Ask, Failure, Reply, Request},
};

use super::{netns::Place, program_path};

pub struct Holder {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Holder {
    pub fn beside(place: &Place) -> Self {
        let mut command = Command::new(program_path());
        command.arg("holder").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = place.enter(move || command.spawn().unwrap());
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    pub fn send(&mut self, id: &str, ask: Ask) {
        let line = serde_json::to_string(&Request { id: id.to_owned(), ask }).unwrap();
        writeln!(self.input, "{line}").unwrap();
    }

    /// The next answer, to whatever request.
    pub fn next_answer(&mut self) -> (String, Result<Answer, Failure>) {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let reply: Reply = serde_json::from_str(&line).unwrap();
        (reply.id, reply.result)
    }

    pub fn ask(&mut self, ask: Ask) -> Result<Answer, Failure> {
        self.send("ask", ask);
        self.next_answer().1
    }

    /// Makes the fault hold, or changes the one of that injection to it.
    pub fn add(&mut self, injection: &InjectionId, fault: &NetworkFault) -> Result<(), Failure> {
        self.ask(Ask::Add { injection: injection.clone(), fault: fault.clone(), ttl_ms: None }).map(|_| ())
    }

    pub fn remove(&mut self, injection: &InjectionId, fault: &NetworkFault) {
        self.ask(Ask::Remove { injection: injection.clone(), fault: fault.clone() }).unwrap();
    }
}

impl Drop for Holder {
    /// As a crash would end it.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
