//! Rules of any format, read once.

use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use pyo3::prelude::*;
use sgreplay::Error;
use sgreplay::engine::{PlanSide, RulesFile, RulesRequest, RulesText};
use sgreplay::rules::RuleSet;

use crate::args::cidr;
use crate::command::judging::{SwitchArgs, set_local};
use crate::exit::Failure;
use crate::{error, options};

/// How rules are read.
#[derive(Debug, clap::Args)]
struct RulesArgs {
    /// Which side of a Terraform plan
    #[arg(long)]
    current: bool,
    #[arg(long, value_delimiter = ',', value_parser = cidr)]
    local: Vec<IpNet>,
    #[command(flatten)]
    switches: SwitchArgs,
}

/// Rules that were read: immutable, shared by threads, pickled as the texts that they were read from.
#[pyclass(frozen, module = "sgreplay", name = "_Rules")]
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) file: Arc<RulesFile>,
    /// The addresses of the one interface, where the rules list none.
    pub(crate) local: Vec<IpNet>,
    name: String,
    texts: Vec<(String, String)>,
    options: Vec<String>,
}

impl Rules {
    fn new(
        py: Python<'_>,
        options: Vec<String>,
        warns: bool,
        read: impl FnOnce(&RulesRequest) -> Result<RulesText, Error> + Send,
    ) -> PyResult<Self> {
        let args: RulesArgs = options::parse(&options)?;
        let side = if args.current { PlanSide::Current } else { PlanSide::Proposed };
        let request = RulesRequest { side, ..(&args.switches).into() };
        let local = args.local;
        let read = py.detach(|| -> Result<_, Failure> {
            let text = read(&request)?;
            let (name, texts) = (text.name.clone(), text.texts.clone());
            let file = RulesFile::from_text(text, &request)?;
            set_local(&mut file.rules.clone(), &local)?;
            Ok((name, texts, file))
        });
        let (name, texts, file) = read.map_err(|failure| error::of_failure(py, failure))?;
        if warns {
            error::warn(py, &file.warnings)?;
        }
        Ok(Self { file: Arc::new(file), local, name, texts, options })
    }

    /// A copy of the rules, at the addresses that were given.
    pub(crate) fn rule_set(&self) -> RuleSet {
        let mut rules = self.file.rules.clone();
        if !self.local.is_empty() && !rules.lists_interfaces() {
            rules.set_local(self.local.clone());
        }
        rules
    }

    /// The words of a command line for the addresses that were given.
    pub(crate) fn local_words(&self) -> Vec<String> {
        self.local.iter().flat_map(|net| ["--local".to_owned(), net.to_string()]).collect()
    }
}

#[pymethods]
impl Rules {
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf, options: Vec<String>) -> PyResult<Self> {
        Self::new(py, options, true, move |request| RulesText::read(&path, &request.options))
    }

    #[staticmethod]
    fn of_texts(
        py: Python<'_>,
        name: String,
        texts: Vec<(String, String)>,
        options: Vec<String>,
        warns: bool,
    ) -> PyResult<Self> {
        Self::new(py, options, warns, |request| RulesText::new(name, texts, &request.options))
    }

    /// The arguments of `of_texts` that make the same rules.
    fn state(&self) -> (String, Vec<(String, String)>, Vec<String>) {
        (self.name.clone(), self.texts.clone(), self.options.clone())
    }

    /// The file, as it was named; of a Terraform plan with the side.
    #[getter]
    fn path(&self) -> &str {
        &self.file.input.path
    }

    /// SHA-256 of the texts, hexadecimal.
    #[getter]
    fn sha256(&self) -> &str {
        &self.file.input.sha256
    }

    /// Whose rules they are: alibaba, aws, azure or google.
    #[getter]
    fn cloud(&self) -> String {
        self.file.rules.cloud().as_str().to_owned()
    }

    /// The ids of the security groups, in the order of the file.
    #[getter]
    fn groups(&self) -> Vec<String> {
        self.file.rules.groups().iter().map(|group| group.id.clone()).collect()
    }

    /// The ids of the interfaces that the rules list.
    #[getter]
    fn interfaces(&self) -> Vec<String> {
        self.file.rules.listed_interfaces().iter().map(|eni| eni.id.clone()).collect()
    }

    /// What is to be said of the rules.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.file.warnings.clone()
    }

    fn __len__(&self) -> usize {
        self.file.rules.groups().iter().map(|group| group.rules.len()).sum()
    }
}
