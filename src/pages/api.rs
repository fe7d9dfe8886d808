//! The description of the API as a page.

use serde::Serialize;
use serde_json::Value;

use super::Page;

/// All operations, by their groups.
#[derive(Debug, Serialize)]
pub struct Docs {
    pub version: String,
    pub groups: Vec<Group>,
    pub schemas: Vec<Schema>,
}

#[derive(Debug, Serialize)]
pub struct Group {
    pub name: String,
    pub operations: Vec<Operation>,
}

#[derive(Debug, Serialize)]
pub struct Operation {
    pub method: String,
    pub path: String,
    pub summary: String,
    pub description: String,
    pub parameters: Vec<(String, String, String)>,
    pub takes: Option<String>,
    pub gives: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct Schema {
    pub name: String,
    pub description: String,
    pub fields: Vec<(String, String, String)>,
}

impl Page for Docs {
    const FILE: &'static str = "api.html";
}

const METHODS: [&str; 5] = ["get", "post", "put", "delete", "patch"];

impl Docs {
    /// What an OpenAPI document says.
    pub fn new(document: &Value) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        let empty = serde_json::Map::new();
        for (path, item) in document["paths"].as_object().unwrap_or(&empty) {
            for method in METHODS {
                let Some(operation) = item.get(method) else { continue };
                let tag = operation["tags"][0].as_str().unwrap_or("other").to_owned();
                let found = groups.iter_mut().position(|group| group.name == tag);
                let at = found.unwrap_or_else(|| {
                    groups.push(Group { name: tag, operations: Vec::new() });
                    groups.len() - 1
                });
                groups[at].operations.push(operation_of(method, path, operation));
            }
        }
        groups.sort_by_key(|group| (group.name == "admin", group.name.clone()));
        let schemas = document["components"]["schemas"].as_object().unwrap_or(&empty);
        Docs {
            version: document["info"]["version"].as_str().unwrap_or_default().to_owned(),
            groups,
            schemas: schemas.iter().map(|(name, schema)| schema_of(name, schema)).collect(),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What a schema is called.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return short(reference.rsplit('/').next().unwrap_or_default());
    }
    if let Some(any) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        let named: Vec<String> = any.iter().map(kind).filter(|name| name != "null").collect();
        return format!("{}, or none", named.join(" or "));
    }
    match &schema["type"] {
        Value::String(name) if name == "array" => format!("list of {}", kind(&schema["items"])),
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect();
            format!("{}, or none", names.join(" or "))
        }
        _ => "anything".into(),
    }
}

/// A schema's name without the module that it comes from.
fn short(name: &str) -> String {
    name.rsplit(['.', ':']).next().unwrap_or(name).to_owned()
}

fn content(value: &Value) -> Option<String> {
    let schema = &value["content"]["application/json"]["schema"];
    (!schema.is_null()).then(|| kind(schema))
}

fn operation_of(method: &str, path: &str, operation: &Value) -> Operation {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    Operation {
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(&operation["summary"]),
        description: text(&operation["description"]),
        parameters: parameters
            .map(|one| (text(&one["name"]), kind(&one["schema"]), text(&one["description"])))
            .collect(),
        takes: content(&operation["requestBody"]),
        gives: content(&operation["responses"]["200"]),
    }
}

fn schema_of(name: &str, schema: &Value) -> Schema {
    let fields = schema["properties"].as_object().into_iter().flatten();
    Schema {
        name: short(name),
        description: text(&schema["description"]),
        fields: fields.map(|(name, field)| (name.clone(), kind(field), text(&field["description"]))).collect(),
    }
}
