//! Named figures: collected, printed as a table, written as JSON.

use std::collections::BTreeMap;
use std::path::Path;

/// What was measured.
#[derive(Default)]
pub(crate) struct Figures(BTreeMap<&'static str, f64>);

impl Figures {
    pub(crate) fn set(&mut self, name: &'static str, value: f64) {
        println!("  {name} = {value:.2}");
        self.0.insert(name, value);
    }

    pub(crate) fn print(&self) {
        println!("\n| figure | value |\n| --- | ---: |");
        for (name, value) in &self.0 {
            println!("| `{name}` | {value:.2} |");
        }
    }

    pub(crate) fn write(&self, path: &str) -> anyhow::Result<()> {
        let path = Path::new(path);
        std::fs::create_dir_all(path.parent().unwrap())?;
        std::fs::write(path, serde_json::to_vec_pretty(&self.0)?)?;
        println!("\nwritten to {}", path.display());
        Ok(())
    }
}

/// The median of some measurements.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
