from .page_server import PageServer as PageServer
from .page_server import open_live as open_live
from .page_server import open_page as open_page
from .run_report import write_report as write_report
from .thumbnail_store import ThumbnailStore as ThumbnailStore
from .thumbnail_store import thumbnail_file as thumbnail_file
