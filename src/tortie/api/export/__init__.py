"""The API in other people's languages: JSON Schema, OpenAPI, CustomResourceDefinitions and pages for people."""
