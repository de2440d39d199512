"""What the fields of metadata, and of conditions in a status, mean."""

from __future__ import annotations

from tortie.api.reference.meaning import Meanings
from tortie.api.resource import Condition, ManagedFields, Metadata, OwnerReference

ENVELOPE = {
    "metadata": "Name, labels and everything else by which the object is known.",
    "spec": "What is wanted.",
    "status": "What was observed; written by controllers and agents, not by people.",
}
"""Fields at the top of every kind, unless its own table says something narrower."""

MEANINGS: Meanings = {
    Metadata: {
        "name": "The object's name, unique among the objects of its kind (and namespace); it never changes.",
        "generate_name": "A beginning from which a Kubernetes API server would make a name; kept as given.",
        "namespace": "The namespace that the object lives in; empty for kinds that belong to the whole cluster.",
        "self_link": "A path that old API servers wrote; never stored.",
        "uid": "Identity of this very object, made when it is created: one that is deleted and made again has another.",
        "resource_version": "Revision of the datastore at which the object last changed; never stored with it.",
        "generation": "A count of changes to the specification, where an API server keeps one.",
        "creation_timestamp": "When the object was created, in UTC, to the second.",
        "deletion_timestamp": "When an API server was asked to delete the object, which waits for its finalizers.",
        "deletion_grace_period_seconds": "Seconds that the object is given to end by itself when it is deleted.",
        "labels": "Keys and values by which selectors find the object.",
        "annotations": "Free keys and values that selectors do not see; 256 KiB together at most.",
        "owner_references": "Objects that this one belongs to and goes away with, for Kubernetes' garbage collection.",
        "finalizers": "Names of those who must do something before the object may go.",
        "managed_fields": "Which writer set which field, as a Kubernetes API server records it.",
    },
    OwnerReference: {
        "api_version": "API version of the owner.",
        "kind": "Kind of the owner.",
        "name": "Name of the owner, in the same namespace or in none.",
        "uid": "Identity of the owner: another object of the same name is no owner.",
        "controller": "Whether this owner is the one that manages the object.",
        "block_owner_deletion": "Whether the owner waits with its own deletion until this object is gone.",
    },
    ManagedFields: {
        "manager": "Name of the writer.",
        "operation": "How it wrote: Apply or Update.",
        "api_version": "The version in which it names the fields.",
        "time": "When it last wrote.",
        "fields_type": "The form of `fieldsV1`, of which there is one.",
        "fields_v1": "The fields that it set, as a tree.",
        "subresource": "The part of the object that it wrote, such as `status`; empty for the object itself.",
    },
    Condition: {
        "type": "What is observed, such as Ready.",
        "status": "Whether it is so: True, False or Unknown.",
        "observed_generation": "The `metadata.generation` that the observation is about.",
        "last_transition_time": "When the status last changed.",
        "reason": "Why, in one word for programs.",
        "message": "Why, in words for people.",
    },
}
