"""A contract for import-linter: whoever uses another package imports it from its face, never from a file inside it."""

from collections import defaultdict

from importlinter import Contract, ContractCheck, fields, output


class FaceContract(Contract):
    """Modules of one package of the root do not import what lies inside another package of the root.

    Options
    -------
    container : the root package, whose packages these are.
    """

    type_name = "faces"
    container = fields.StringField()

    def check(self, graph, verbose):
        rooms = graph.find_children(self.container)
        inside = {module: room for room in rooms for module in graph.find_descendants(room)}
        broken = defaultdict(list)
        for module, room in inside.items():
            own = {room} | graph.find_descendants(room)
            for importer in graph.find_modules_that_directly_import(module) - own:
                for detail in graph.get_import_details(importer=importer, imported=module):
                    broken[importer].append((detail["line_number"], module, room))
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check):
        for importer, imports in sorted(check.metadata["broken"].items()):
            for line, module, room in sorted(imports):
                output.print_error(f"{importer} (line {line}) imports {module}: import from {room} instead")
