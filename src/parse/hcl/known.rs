//! Values that expressions may name, and what it takes to work an expression out.
//!
//! A few lines can ask for more than any machine has: a local that is another one ten times over, and that again,
//! or a `for` in a `for`. What an expression takes is bounded before it is evaluated.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use hcl::eval::{Context, Evaluate, FuncArgs, FuncDef, ParamType};
use hcl::expr::{ObjectKey, Operation, TraversalOperator};
use hcl::template::{Directive, Element, Template};
use hcl::{Expression, Value};

/// An expression makes no more bytes than this, nor do all of them together make so much more.
const MOST_OF_ONE: u64 = 16 << 20;
const MOST_OF_ALL: u64 = 2 << 30;

/// Variables and locals.
#[derive(Clone)]
pub(super) struct Known {
    context: Context<'static>,
    /// Bytes of each: one that is named is found in a copy of what it is part of.
    sizes: BTreeMap<String, u64>,
    /// What may still be taken, by all expressions of a module.
    left: Rc<Cell<u64>>,
}

impl Known {
    pub(super) fn new() -> Self {
        let mut context = Context::new();
        let list = FuncDef::builder().param(ParamType::Any).build(|args: FuncArgs| {
            args.into_values().pop().ok_or_else(|| "a list is missing".to_owned())
        });
        for name in ["toset", "tolist"] {
            context.declare_func(name, list.clone());
        }
        Self { context, sizes: BTreeMap::new(), left: Rc::new(Cell::new(MOST_OF_ALL)) }
    }

    /// Adds a value under a name, instead of one that has it.
    pub(super) fn declare(&mut self, name: &str, value: Value) {
        self.sizes.insert(name.to_owned(), size(&value));
        self.context.declare_var(name, value);
    }

    /// The same values and one more; `None` where that takes too much.
    pub(super) fn with(&self, name: &str, value: Value) -> Option<Self> {
        self.left.set(self.left.get().checked_sub(self.size())?);
        let mut more = self.clone();
        more.declare(name, value);
        Some(more)
    }

    /// The same where there may be nothing to add.
    pub(super) fn with_each(&self, each: Option<(&str, Value)>) -> Option<Self> {
        each.map_or_else(|| Some(self.clone()), |(name, value)| self.with(name, value))
    }

    fn size(&self) -> u64 {
        sum(self.sizes.values().copied())
    }

    /// What an expression comes to; `None` where it is no literal, or takes too much.
    pub(super) fn value(&self, expression: &Expression) -> Option<Value> {
        let cost = Costs { sizes: &self.sizes, inside: 0 }.cost(expression);
        if cost > MOST_OF_ONE {
            return None;
        }
        self.left.set(self.left.get().checked_sub(cost)?);
        expression.evaluate(&self.context).ok()
    }
}

/// Bounds on the bytes that evaluating makes.
#[derive(Clone, Copy)]
struct Costs<'a> {
    /// Bytes of each name.
    sizes: &'a BTreeMap<String, u64>,
    /// Bytes of what the `for`s around go over: their names stand for parts of it.
    inside: u64,
}

impl Costs<'_> {
    fn cost(self, expression: &Expression) -> u64 {
        match expression {
            Expression::String(text) => 1 + text.len() as u64,
            Expression::Array(list) => sum(list.iter().map(|one| self.cost(one))),
            Expression::Object(object) => sum(object.iter().map(|(key, value)| {
                let key = match key {
                    ObjectKey::Expression(key) => self.cost(key),
                    _ => 1,
                };
                key.saturating_add(self.cost(value))
            })),
            Expression::TemplateExpr(template) => match Template::from_expr(template) {
                Ok(template) => self.of_template(&template),
                Err(_) => 1,
            },
            Expression::Variable(name) => {
                let size = self.sizes.get(name.as_str()).copied().unwrap_or_default();
                size.saturating_add(self.inside).saturating_add(1)
            }
            Expression::Traversal(traversal) => {
                let operators = traversal.operators.iter().map(|operator| match operator {
                    TraversalOperator::Index(index) => self.cost(index),
                    _ => 1,
                });
                // Each step may go over all that the one before has found.
                self.cost(&traversal.expr)
                    .saturating_mul(1 + traversal.operators.len() as u64)
                    .saturating_add(sum(operators))
            }
            Expression::FuncCall(call) => sum(call.args.iter().map(|one| self.cost(one))),
            Expression::Parenthesis(inner) => self.cost(inner),
            Expression::Conditional(one) => {
                let parts = [&one.cond_expr, &one.true_expr, &one.false_expr];
                sum(parts.into_iter().map(|part| self.cost(part)))
            }
            Expression::Operation(operation) => match &**operation {
                Operation::Unary(one) => self.cost(&one.expr),
                Operation::Binary(two) => {
                    self.cost(&two.lhs_expr).saturating_add(self.cost(&two.rhs_expr))
                }
            },
            Expression::ForExpr(each) => {
                let list = self.cost(&each.collection_expr);
                let parts =
                    [Some(&each.value_expr), each.key_expr.as_ref(), each.cond_expr.as_ref()];
                let inside = self.over(list);
                sum(parts.into_iter().flatten().map(|part| inside.cost(part))).saturating_mul(list)
            }
            _ => 1,
        }
    }

    /// The same in a `for` over so many bytes.
    fn over(self, list: u64) -> Self {
        Self { inside: self.inside.saturating_add(list), ..self }
    }

    fn of_template(self, template: &Template) -> u64 {
        sum(template.elements().iter().map(|element| match element {
            Element::Literal(text) => text.len() as u64,
            Element::Interpolation(of) => self.cost(&of.expr),
            Element::Directive(directive) => match &**directive {
                Directive::If(of) => {
                    let branches = of.false_template.iter().chain([&of.true_template]);
                    let branches = branches.map(|template| self.of_template(template));
                    sum(branches).saturating_add(self.cost(&of.cond_expr))
                }
                Directive::For(of) => {
                    let list = self.cost(&of.collection_expr);
                    self.over(list).of_template(&of.template).saturating_mul(list)
                }
            },
        }))
    }
}

fn sum(parts: impl IntoIterator<Item = u64>) -> u64 {
    parts.into_iter().fold(1, u64::saturating_add)
}

/// Bytes of a value, more or less.
fn size(value: &Value) -> u64 {
    match value {
        Value::String(text) => 1 + text.len() as u64,
        Value::Array(list) => sum(list.iter().map(size)),
        Value::Object(map) => sum(map.iter().map(|(key, of)| key.len() as u64 + size(of))),
        _ => 1,
    }
}
