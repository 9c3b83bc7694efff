"""The one exception tree: what a user can mend, said in one line."""


class FerEdgeError(Exception):
    """Anything a user can act on; the command line prints it as one line and exits with code 2."""


class DataError(FerEdgeError):
    """A data set, picture or table that is not what was expected."""


class ModelError(FerEdgeError):
    """A model file, card or ensemble that is missing, altered or of another kind."""


class SourceError(FerEdgeError):
    """A camera, video, picture or stream that cannot be read."""


class SinkError(FerEdgeError):
    """An output that cannot be written."""


class ConfigError(FerEdgeError):
    """A configuration file that cannot be read, or says what no command understands."""


class ServiceError(FerEdgeError):
    """A service that cannot be installed, or a service manager that refuses."""
